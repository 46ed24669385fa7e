/* What there is to know of the compiled library itself. */

#include "truncflow.h"

int suits_processor(void)
{
#if defined(__x86_64__) && defined(__FMA__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

const char *source_stamp(void)
{
    return STAMP;
}
