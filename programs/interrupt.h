/* Signals: Ctrl-C ends the work in an orderly way, a model file that shrinks under the map is named. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "cllm.h"

#define EXIT_INTERRUPTED 130 /* 128 + SIGINT, as shells have it */

/* The first Ctrl-C makes interrupted() true, a second one kills. A closed pipe on stdout kills, as is usual. */
void interrupt_install(void);

/* Has Ctrl-C been pressed? In the form of a cllm_cancelled callback; user: unused. */
bool interrupted(void);

/* The file whose disappearing bytes (SIGBUS) are to be explained: `gguf`'s files, or while it is NULL the file at
 * `path` that is being opened. Both must stay valid; a NULL path ends the watch. */
void interrupt_watch_file(const char *path, const cllm_gguf *gguf);
void interrupt_watch_model(const cllm_model *model); /* all its files, instead */

#endif
