/* The engine as a client. */
#define CLIENT 1
#include "h2_differential.h"
