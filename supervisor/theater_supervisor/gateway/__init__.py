"""The WebSocket side: who gets in, frames in and out."""
