/* Translates llama-server's flags and variables into our options. Only `serve` understands them; other commands accept
 * the flags that have no effect.
 *
 *   argv and LLAMA_ARG_* -> translate_server_words -> words with our own options -> getopt (options.c) */
#ifndef SERVER_FLAGS_H
#define SERVER_FLAGS_H

#include "options.h"

typedef struct server_words {
    char **items; /* [count]: owned; [0] is the command's name */
    int count;
    char **notes; /* [n_notes]: owned; each a flag that has no effect here, and why */
    size_t n_notes;
} server_words;

/* Translate the words of a command, given by its bit, and for `serve` the variables: a variable counts only if no word
 * sets the same option. Other commands only lose the flags that have no effect. words: out, to be released in any case.
 * Returns an exit status, after saying why. */
int translate_server_words(unsigned bit, int argc, char **argv, server_words *words);
void server_words_free(server_words *words);

/* True if llama-server has this flag, given with its dashes; it may have a value after "=". */
bool is_server_flag(const char *word);

/* The name of our option that does what the flag does, or NULL. */
const char *server_flag_option(const char *word);

/* The text at the end of --help. */
const char *server_flags_help(void);

#endif
