// The malformed actor in the interface's older spelling.
#define OLDER_SHAPE
#include "malformed.c"
