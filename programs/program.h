/* Functions that the commands share: messages, input, and a model that is loaded and ready to run.
 *
 * "Returns an exit status, after saying why" means: if the status is not EXIT_SUCCESS, a message has been printed. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "options.h"

#include <stdio.h>

/* --------------------------------------------------------------------------------------------- messages */

#define EXIT_USAGE 2

/* Print "mini-cllm: ..." on stderr and return EXIT_FAILURE or EXIT_USAGE. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on, also copy messages of fail and usage_error in this thread into text, cut to its size. NULL: stop
 * copying. */
void fail_into(char *text, size_t size);

/* Call fail for an error of the library. If a signal to stop caused the error, print nothing and return
 * EXIT_INTERRUPTED. */
int fail_with(const cllm_error *err);
const char *remedy_of(const cllm_error *err); /* the option that helps, to append to the message, or "" */

/* Call fail for a file that could not be opened, with the reason in errno. Prints nothing if a signal to stop ended the
 * wait for the other end of a pipe. */
int fail_to_open(const char *path);

typedef struct date_text {
    char text[32];
} date_text;
date_text date_now(void); /* 2026-01-31T12:00:00Z */

/* Print a note on stderr, unless the user wants quiet. With --log-format json it is a line of JSON. */
void note(const options *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Note that an encoded text begins with two BOS tokens: the one that the model adds, and the text's own. */
void note_doubled_bos(const options *o, const cllm_tokenizer *tokenizer, const int32_t *tokens, size_t count);

/* Print cllm_tokenizer_note of the model's tokenizer, if it has one, and the option that helps. */
void note_tokenizer(const options *o, const cllm_tokenizer *tokenizer);

/* Write what stdout has buffered. Returns an exit status, after saying why; prints nothing if a signal to stop came
 * while a pipe was full. */
int flush_output(void);

bool obeys_escapes(int fd); /* true for a terminal, unless TERM says that it is dumb */
bool shows_colour(int fd);  /* the same, and NO_COLOR is not set */
int terminal_width(int fd); /* in columns; 80 if fd is not a terminal, or the terminal does not say */

/* Draw "what [####    ] 37% rest" over the same line of stderr, if that is a terminal. If the line is too narrow, first
 * the bar is shortened, then `what` is cut. The last call erases the line. */
void draw_bar(const options *o, const char *what, int percent, const char *rest, bool last);
void draw_work(const options *o, const char *what); /* only words, of work whose length is unknown */
bool erase_bar(void);                               /* or the words of draw_work. false: neither was on the line */

typedef struct size_text {
    char text[24];
} size_text;
size_text format_bytes(uint64_t n_bytes); /* "1.5 MiB" */

void print_plan(FILE *out, const cllm_memory_plan *plan); /* one line of a memory plan, without its newline */

/* ------------------------------------------------------------------------------------------------ input */

typedef struct input {
    char *data; /* owned: release with free */
    size_t length;
} input;

/* Read a whole file, or standard input if path is "-". Returns an exit status, after saying why. After a failure `in`
 * is empty. */
int read_input(const char *path, input *in);

typedef struct id_list {
    int32_t *ids; /* owned: release with free */
    size_t count, capacity;
} id_list;

bool id_list_add(id_list *list, int32_t id); /* false: no memory */

/* Append the ids in a text, separated by spaces, newlines or commas. what: names the text in the message.
 * Returns an exit status, after saying why. */
int id_list_parse(id_list *list, const char *what, const char *text, size_t length);

/* Check that all ids are in a vocabulary of n_vocab. Returns an exit status, after naming one that is not. */
int id_list_check(const id_list *list, uint32_t n_vocab);

/* Cut a text to at most `most` tokens, most > 0. A token that the model adds to the end of each text stays at its end.
 * Returns how many are left. */
size_t cut_tokens(const cllm_tokenizer *tokenizer, int32_t *tokens, size_t count, size_t most);

/* ----------------------------------------------------------------------------------------------- models */

/* Open a file only for its metadata and tokenizer, with the overrides of the options: the model or another file.
 * Returns an exit status, after saying why. */
int open_gguf(const options *o, const char *path, cllm_gguf **gguf);
void close_gguf(cllm_gguf *gguf);

/* Check that --chat-template-kwargs, if given, is an object. Returns an exit status, after saying why. */
int check_kwargs(const options *o);

/* Make the chat template that the options ask for: the model's (gguf, tokenizer: may be NULL), one by its name, or a
 * file. Returns an exit status, after saying why. */
int make_chat(const options *o, const cllm_gguf *gguf, const cllm_tokenizer *tokenizer, cllm_chat **chat);

/* True if chat, template or serve reads this key, even if the model and its tokenizer do not. */
bool read_by_chat(const char *key);

/* Note overrides of keys that nothing has read. reader: what messages call the reader of the file, such as "model". */
void remark_unread(const options *o, const cllm_gguf *gguf, const char *reader);

cllm_pooling pooling_of(const char *name); /* of --pooling */

/* Check before the work that --save can write its file: its folder exists and is writable, and there is no folder of
 * this name. is_regular: refuse a pipe or a device, too. Returns an exit status. */
int check_save(const char *path, bool is_regular);

/* A sequence takes positions of the engine in pages of this size. */
enum { PAGE = 256 };
static inline uint32_t pages_of(size_t length) { return (uint32_t)((length + PAGE - 1) / PAGE); }

/* A model that is loaded and running, as the options say. */
typedef struct run {
    const options *o;
    cllm_model *model;
    cllm_engine *engine;
    cllm_sequence *sequence; /* the first one */
    uint32_t n_sequences;    /* most sequences; 0: one */
    uint32_t n_positions;    /* of all sequences together; 0: enough for each to fill its context */
    uint64_t cache_bytes;    /* of the prefix cache */
    cllm_pooling pooling;
    bool raw_embeddings; /* do not scale vectors to length 1 */
    double load_seconds;
    char stage[80];     /* what is being evaluated, for the progress bar; "": draw no bar */
    double stage_start; /* when the stage began */
    int drawn_percent;  /* percentage that the bar shows now; -1: no bar */
    /* tokens that the bar is for (0: each call of run_eval has a bar of its own), tokens of earlier calls, and tokens
     * of the call that runs now */
    uint64_t n_stage, n_evaluated, n_now;
} run;

int run_load(run *r, const options *o); /* the model; returns an exit status, after saying why */
int run_start(run *r, uint64_t n_ctx);  /* start the engine and a sequence; n_ctx 0: the model's own context */
void run_stop(run *r);                  /* ends both */
void run_close(run *r);                 /* works even if it was never loaded or started */

/* Evaluate tokens after those of the sequence. span: out, with the results that `want` asks for. */
cllm_status run_eval(run *r, const int32_t *tokens, size_t count, cllm_want want, cllm_span *span, cllm_error *err);

/* Name the next evaluation for a progress bar on a terminal; "" ends the bar. */
void run_stage(run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Draw the same bar now, for work that is not an evaluation. */
void run_progress(run *r, const char *what, uint64_t done, uint64_t total);

int run_check_writes(const run *r);       /* fails if a loaded model cannot write text */
int fail_without_tokenizer(const run *r); /* say why a loaded model has no tokenizer */
int run_check_fits(const run *r, const char *what,
                   size_t n_tokens); /* fails if the tokens do not fit into the context */

double now(void); /* seconds of a clock that only goes forward */

/* A number of tokens, and the time of the forward passes of `n_timed` of them. */
typedef struct pace {
    size_t n_tokens, n_timed;
    double seconds;
    size_t n_drafted, n_accepted; /* guessed tokens, and how many of these were accepted */
} pace;

/* Print the line of figures at the end: what was evaluated at once, then what was generated token by token (n_tokens 0:
 * nothing). */
void run_summary(const run *r, pace evaluated, pace generated);

#endif
