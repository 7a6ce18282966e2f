/* Which kernels run: chosen by name, or the best that this CPU has. Called when a session is made. */
#include "cpu/kernels.h"

#include <pthread.h>
#include <string.h>

static cpu_kernels scalar;
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static void fill(void) { kernels_scalar_fill(&scalar); }

const cpu_kernels *kernels_select(const char *isa) {
    pthread_once(&filled, fill);
    return !isa || strcmp(isa, scalar.name) == 0 ? &scalar : NULL;
}

const char *kernels_names(void) { return "scalar"; }
