/* The command line: the commands, their options, and what the user asked for.
 *
 * One table of options (options.c) drives parsing, range checks, defaults, error messages and --help. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "cllm.h"

enum { MOST_COUNTS = 16 };

/* Whole numbers, separated by commas. */
typedef struct count_list {
    uint64_t values[MOST_COUNTS];
    size_t count;
} count_list;

/* Texts of an option that may be repeated. */
typedef struct text_list {
    const char **items; /* [count]: owned; the texts are argv's */
    size_t count;
} text_list;

#define AS_MANY_AS_FIT UINT64_MAX /* value of gpu_layers if --gpu-layers is not given */

/* What the user asked for. Which fields are used depends on the command. */
typedef struct options {
    uint64_t given[3];  /* bits of the table's rows that the user gave: see is_given */
    const char *model;  /* of --model, or else the first argument */
    char **arguments;   /* the others: owned */
    size_t n_arguments; /* detokenize: ids; bench, serve: more models; grammar: files to check; pull, rm: names; other
                           commands store them in fields below */
    const char *prompt; /* NULL: not given; "-": standard input */
    const char *file;   /* the prompt's file, or NULL */
    const char *tokens; /* a list of ids, or NULL */
    const char *text;   /* the file to measure perplexity on, or NULL */
    const char *logits; /* the file to write logits to, or NULL */
    const char *chat_template;        /* a name in the model's file, a family's, or a file; NULL: the model's own */
    const char *chat_template_kwargs; /* a JSON object, or NULL */
    const char *system;               /* a system message, "@FILE" of one, or NULL */
    text_list attached;               /* files whose text is added to the question */
    const char *reasoning;            /* "show", "hide", "off" or a number of tokens; NULL: depends on the output */
    const char *context;              /* "stop" or "shift" */
    const char *tools;                /* a file with a JSON list of tools, or NULL */
    const char *image;                /* not supported yet */
    uint64_t now;                     /* seconds since 1970; UINT64_MAX: the current time */
    const char *grammar;              /* a file with a grammar or the grammar itself, or NULL */
    const char *choice;               /* a file with lines to choose from, or NULL */
    const char *json_schema, *regex;  /* a file with a schema or the schema itself; an expression; or NULL */
    const char *json_order;           /* "any", "declared", or NULL: declared when a model writes */
    bool timings, check;
    const char *pre;               /* the pre-tokenizer, or NULL: the file's */
    uint64_t n_tokens;             /* most tokens to generate; UINT64_MAX: as many as the context holds */
    cllm_sampler_options sampling; /* a last_n of UINT32_MAX means the whole context; its lists are the next three */
    cllm_sampler_step *steps;      /* owned */
    cllm_logit_bias *bias;         /* owned */
    cllm_string *breakers;         /* owned */
    bool temperature_by_letter;    /* given as -t, which in other programs is the number of threads */
    const char *device;            /* where to compute */
    uint64_t device_index;         /* which of that API's devices */
    uint64_t gpu_layers;           /* layers to put on a GPU, or AS_MANY_AS_FIT */
    bool exact;
    const char *save, *load;  /* files of a saved text, or NULL */
    const char *draft;        /* "lookup" or "none" */
    const char *draft_model;  /* a small model's file, or NULL */
    uint64_t threads;         /* 0: the cores this process may use */
    uint64_t ctx;             /* 0: the default, such as the model's own context */
    uint64_t batch;           /* most tokens in one forward pass */
    const char *kv_type;      /* "f16", "f32" or "q8_0" */
    const char *cpu_isa;      /* NULL: the best that this CPU has */
    count_list prompts;       /* bench: lengths of a prompt */
    count_list gens;          /* bench: tokens to decode */
    count_list depths;        /* bench: tokens before them */
    count_list sequences;     /* bench: sequences that decode together (none: one alone) */
    count_list batches;       /* bench: values of `batch` */
    count_list thread_counts; /* bench: values of `threads` (none: as many as this process may use) */
    uint64_t repetitions;     /* bench: runs of each test, or with `compare` pairs of runs */
    const char *compare;      /* the command to compare with, or NULL */
    bool echo;                /* print the prompt too */
    bool ignore_eos;          /* generate past the end token */
    bool no_mmap;             /* read the file instead of mapping it */
    bool repack;              /* copy the weights into memory in the kernels' order */
    bool json, show_pieces;   /* forms of output */
    bool csv, markdown;
    bool raw, cosine, no_normalize; /* of vectors */
    bool truncate;                  /* cut texts that are too long */
    bool show_parts;                /* of a rendered template */
    bool adapt;                     /* change messages into the form that the template accepts */
    bool parse;                     /* parse an answer */
    bool show_tensors;
    bool no_bos, no_special;
    bool quiet, verbose;
    bool help, version;

    /* of the server */
    text_list host, alias, allow_host, cors;
    uint64_t port, parallel, queue, cache_ram; /* cache_ram: MiB */
    bool kv_unified;
    const char *pooling;                /* a name that pooling_of knows; also of embed */
    const char *api_key, *api_key_file; /* or NULL */
    bool no_auth, strict_model, no_webui, log_prompts;
    const char *api_prefix;
    const char *slot_save_path;
    bool no_slots, spm_infill;
    const char *log_format; /* "text" or "json" */
    uint64_t models_max, sleep_idle_seconds, drain;
    uint64_t max_body, max_connections, max_connections_per_address, timeout;
    const char *ssl_key_file, *ssl_cert_file, *mmproj; /* not supported */

    cllm_metadata *overrides; /* of the file's metadata: by --override, --pre and the three --rope options; owned */
    size_t n_overrides;
    const char *rope_scaling; /* NULL: not given */
    float rope_scale;         /* 0: not given */
    float rope_freq_base;     /* 0: not given */
    cllm_lora *loras;         /* the model's adapters: owned */
    size_t n_loras;
    char **found; /* [n_found], owned: paths of models that were given by name */
    size_t n_found;
    const char **names; /* [n_names], owned: the model and the other arguments as the user wrote them */
    size_t n_names;
    char **words; /* [n_words], owned: argv without llama.cpp's flags, in our own words */
    int n_words;
} options;

/* Bits, so that an option's row can name all commands that take it. */
enum {
    GENERATE = 1,
    INSPECT = 2,
    TOKENIZE = 4,
    DETOKENIZE = 8,
    EVAL = 16,
    BENCH = 32,
    TEMPLATE = 64,
    CHAT = 128,
    PULL = 256,
    LIST = 512,
    REMOVE = 1024,
    GRAMMAR = 2048,
    SERVE = 4096,
    EMBED = 8192,
    RERANK = 16384
};

typedef struct command {
    unsigned bit;
    const char *name;     /* "" for generate, which needs no name */
    const char *synopsis; /* the arguments, as --help shows them */
    const char *about;    /* what it does: whole lines */
    int (*run)(const options *o);
} command;

extern const command commands[]; /* main.c; ends with a bit of 0 */

/* Parse argv[1..argc-1]; argv[0] is the name of the program or command. Returns an exit status, after saying why. The
 * options point into argv, or into `words` if that is not NULL; there, a 0 is written after the key of an --override
 * and the file of a --lora. The caller frees the options in any case. */
int parse_options(const command *c, int argc, char **argv, options *o);
void free_options(options *o);

/* Give an option another value, as on the command line; an option that is kept as text points into `value`. bit: of a
 * command that has an option with this name. Returns an exit status, after saying why. */
int change_option(options *o, unsigned bit, const char *name, char *value);

/* Parse names of a sampler's steps, separated by semicolons or commas. n: out. what: names the text in messages.
 * Returns an exit status, after saying why. */
int parse_steps(const char *what, const char *text, cllm_sampler_step steps[CLLM_N_STEPS], size_t *n);

/* The long name of the option that a word names, or NULL. bit: of the command. takes_next: out, true if its value is
 * the next word. */
const char *option_named(unsigned bit, const char *word, bool *takes_next);

bool is_given(const options *o, const char *name); /* true if the user gave --name; false: it has its default */

void print_help(const command *c); /* on stdout */

#endif
