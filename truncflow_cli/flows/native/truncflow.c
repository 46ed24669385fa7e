/* The compiled part of truncflow, one translation unit: what Python calls is at the end of each file that is named here.

   Nothing is allocated, no errors are raised, and results depend on the arguments alone: there is no state. */

#include "arrays.h"
#include "vector.h"
#include "polynomial.h"
#include "pace.h"
#include "series.h"
#include "nearby.h"
#include "crossings.h"
#include "sampling.h"
#include "ahead.h"
#include "separated.h"
#include "batched.h"
#include "cells.h"
#include "cellseries.h"
#include "deadlines.h"
#include "netsampling.h"
#include "passing.h"
#include "general.h"
