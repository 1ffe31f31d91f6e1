/* The engine as a server. */
#define CLIENT 0
#include "h2_differential.h"
