/* Signals: Ctrl-C and kill end the work in an orderly way, a model file that shrinks under the map is named. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "cllm.h"

#define EXIT_INTERRUPTED 130 /* what a command returns then; the program's own is interrupt_status() */

/* The first SIGINT (Ctrl-C) or SIGTERM (kill) makes interrupted() true, a second one kills; one that the parent has
 * ignored stays ignored. A closed pipe on stdout kills, as is usual. */
void interrupt_install(void);

int interrupt_status(void); /* 128 and the number of the signal, as shells have it */

/* Has one of them come? */
bool interrupted(void);

/* Did SIGINT come, and no SIGTERM? Forget it then: the work goes on, and two more of them are needed to kill. */
bool interrupt_forget(void);

/* The same as a cllm_progress that shows nothing; all parameters are unused. */
bool interrupt_progress(void *user, uint64_t done, uint64_t total);

/* The file whose disappearing bytes (SIGBUS) are to be explained: `gguf`'s files, or while it is NULL the file at
 * `path` that is being opened. Both must stay valid; a NULL path ends the watch. */
void interrupt_watch_file(const char *path, const cllm_gguf *gguf);
void interrupt_watch_model(const cllm_model *model); /* all its files, instead */

#endif
