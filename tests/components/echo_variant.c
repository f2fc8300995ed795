// The echo actor in the interface's older spelling.
#define OLDER_SHAPE
#include "echo.c"
