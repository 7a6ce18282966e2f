/* What the machine gives this process. */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include <stdint.h>

uint32_t system_cores(void);            /* cores this process may run on, 1 or more */
uint64_t system_available_memory(void); /* bytes it may still take without swapping, or 0 if unknown */

#endif
