/* The compiled part of truncflow, one translation unit: what Python calls is at the end of the files named here.

   Nothing is allocated, no errors are raised, and results depend on the arguments alone: there is no state. */

#include "separated.h"
#include "batched.h"
#include "general.h"
