/* llama-server's flags and variables, in our words: `serve` understands them, and no other command.
 *
 *   argv and LLAMA_ARG_* -> translate_server_words -> words of our own options -> getopt (options.c) */
#ifndef SERVER_FLAGS_H
#define SERVER_FLAGS_H

#include "options.h"

typedef struct server_words {
    char **items; /* [count]: owned; [0] is the command's name */
    int count;
    char **notes; /* [n_notes]: owned; each a flag that has no effect here, and why */
    size_t n_notes;
} server_words;

/* Which of our options does a word name? takes_next: out, whether its value is the next word. NULL: none. */
typedef const char *(*option_of_word)(const char *word, bool *takes_next);

/* What the words and the variables mean. A variable counts only where the words do not say the same. words: out, to be released whatever is
 * returned. Returns an exit status, after saying why. */
int translate_server_words(int argc, char **argv, option_of_word find, server_words *words);
void server_words_free(server_words *words);

/* Beneath --help. */
const char *server_flags_help(void);

#endif
