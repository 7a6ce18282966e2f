/* Signals. Ctrl-C and kill end the work in an orderly way; if a mapped model file shrinks, the message names it. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "cllm.h"

#define EXIT_INTERRUPTED 130 /* an interrupted command returns this; the program then exits with interrupt_status() */

/* The first SIGINT (Ctrl-C) or SIGTERM (kill) makes interrupted() true, a second one kills. A signal that the parent
 * ignored stays ignored. A closed pipe on stdout kills, as usual. */
void interrupt_install(void);

/* 128 + the signal, as in shells. If no signal came, the terminal sent Ctrl-C as a key (line_input.h): 128 + SIGINT. */
int interrupt_status(void);

/* True after one of these signals. */
bool interrupted(void);

/* After SIGINT without SIGTERM: forget it and return true. The work continues, and two more signals are needed to
 * kill. */
bool interrupt_forget(void);

/* interrupted() as a cllm_progress that shows nothing; the parameters are unused. */
bool interrupt_progress(void *user, uint64_t done, uint64_t total);

/* If bytes of a mapped file disappear (SIGBUS), the message names the file. It is one of the files of `gguf`; while
 * gguf is NULL, it is the file at `path`, which is being opened. Both must stay valid. A NULL path ends the watch. */
void interrupt_watch_file(const char *path, const cllm_gguf *gguf);
void interrupt_watch_model(const cllm_model *model); /* watch all files of a model instead */

#endif
