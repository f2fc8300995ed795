"""Version 2 of the interface: its events and effects, what follows from them, and their bytes in the chain.

Pure, as the package is. wit/v2/theater.wit says what an actor sees; version 1's words are messages.py's.
"""
