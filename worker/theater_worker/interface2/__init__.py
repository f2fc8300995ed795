"""Components of version 2 of the interface (wit/v2/theater.wit): bound by structure, called, mirrored."""
