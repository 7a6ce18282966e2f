/* mini-cllm: run large language models from GGUF files.
 *
 * The one public header. The road of the data, and so the order of this file:
 *
 *   GGUF file -> model -> tokenizer: text to ids -> engine and sequence: ids to logits -> sampler: logits to an id -> text
 *
 *   A generation drives the last three for one request.
 *
 * Rules that hold for every function:
 *   - It returns CLLM_OK or a status; the detail goes into `*err`, which may be NULL.
 *   - It never prints, exits, installs a signal handler, or keeps global state that changes. Its threads leave signals
 *     to the caller's.
 *   - Pointers are borrowed unless the comment says "owned"; NULL is allowed only where the comment says so.
 *   - A destroy or close function accepts NULL.
 *   - A NULL options pointer asks for the defaults, and so does a zero-initialised options struct.
 *   - Files, models and tokenizers are immutable once made and may be shared by threads. An engine with its sequences, or a
 *     sampler, belongs to one thread at a time.
 */
#ifndef CLLM_H
#define CLLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLLM_API __attribute__((visibility("default")))

#define CLLM_VERSION "0.2.0"

/* The version of the library that is linked, which may differ from the header's CLLM_VERSION. */
CLLM_API const char *cllm_version(void);

/* ---------------------------------------------------------------------------------------------- errors */

typedef enum cllm_status {
    CLLM_OK = 0,
    CLLM_ERR_ARGUMENT,     /* the caller's value is out of range */
    CLLM_ERR_IO,           /* the system refused to open, map or read a file */
    CLLM_ERR_FORMAT,       /* the file's bytes contradict themselves or the format */
    CLLM_ERR_UNSUPPORTED,  /* the file is sound, but asks for what this library does not do */
    CLLM_ERR_MEMORY,       /* it does not fit in memory, or into what an engine was made with */
    CLLM_ERR_CONTEXT_FULL, /* more tokens than the context of a sequence holds */
    CLLM_ERR_CANCELLED,    /* a callback asked to stop */
    CLLM_ERR_DEVICE,       /* a GPU is not there, lacks what is asked of it, or failed */
} cllm_status;

#define CLLM_NO_OFFSET UINT64_MAX

typedef struct cllm_error {
    cllm_status status;
    uint64_t offset;   /* byte offset in the file, or CLLM_NO_OFFSET */
    char name[128];    /* the metadata key or tensor concerned, or "" */
    char message[512]; /* one line without a newline: what is wrong, where, and what to do */
} cllm_error;

/* Messages are safe to print: what comes from a file or a path and could break the line or speak to a terminal is replaced
 * by '?'. Names, metadata and texts are given as the file has them; whoever prints those can ask here. The length, 1 to 4
 * bytes, of the character that `bytes` begin with; or 0 if it is not valid UTF-8, a control character (C0, DEL or C1), a
 * line or paragraph separator, or one that changes the direction of text (bidirectional marks, overrides, isolates). */
CLLM_API size_t cllm_safe_length(const char *bytes, size_t length);

/* ------------------------------------------------------------------------------------------- GGUF files */

typedef struct cllm_gguf cllm_gguf;

/* Called during long work with what is done so far of `total`: bytes of a file, or tokens times layers of an eval.
 * Return false to end the work with CLLM_ERR_CANCELLED. */
typedef bool (*cllm_progress)(void *user, uint64_t done, uint64_t total);

typedef struct cllm_load_options {
    bool no_mmap;           /* read the file into memory instead of mapping it; one that the system cannot map is read
                               anyway: see cllm_gguf_note */
    bool repack;            /* cllm_model_load: move quantized matrices into memory of their own, in the order that the
                               CPU's kernels read fastest; what they compute stays the same bits */
    cllm_progress progress; /* or NULL */
    void *user;             /* handed to `progress` */
    const struct cllm_metadata *overrides; /* [n_overrides] metadata that count before the file's; or NULL */
    size_t n_overrides;
    const struct cllm_lora *loras; /* [n_loras] cllm_model_load: adapters that the model is to have; or NULL */
    size_t n_loras;
} cllm_load_options;

/* Open a GGUF file (version 2 or 3, little-endian) and validate its metadata and every tensor's extent.
 * The first part of a split model, named ...-00001-of-0000N.gguf, brings its other N - 1 parts along; without split.count
 * in its metadata a file is a whole model, whatever its name.
 * out: owned; release with cllm_gguf_close. Errors: IO, FORMAT, UNSUPPORTED, MEMORY, CANCELLED, and ARGUMENT for an override
 * that cannot be.
 * A mapped file must not shrink while it is open: reading past its new end raises SIGBUS.
 *
 * Each of options->overrides takes the place of the file's value of that key before anything reads it, or adds a key that the
 * file lacks. Any integer replaces an integer of any type that can hold it, a float a float, a bool a bool, a string a string,
 * and the file's type stays. A key that begins with "." stands for the architecture's: ".rope.freq_base" for
 * "llama.rope.freq_base" where general.architecture (overridden, perhaps) is llama. All is copied.
 * Refused: arrays; a key that is given twice; general.alignment and split.*, which say where the tensors' data are. */
CLLM_API cllm_status cllm_gguf_open(const char *path, const cllm_load_options *options, cllm_gguf **out,
                                    cllm_error *err);
CLLM_API void cllm_gguf_close(cllm_gguf *gguf);

CLLM_API uint32_t cllm_gguf_version(const cllm_gguf *gguf);
CLLM_API uint32_t cllm_gguf_alignment(const cllm_gguf *gguf); /* bytes, of tensor data */
CLLM_API uint32_t cllm_gguf_n_files(const cllm_gguf *gguf);   /* 1, or the parts of a split model */
CLLM_API uint64_t cllm_gguf_n_bytes(const cllm_gguf *gguf);   /* the size of all files together */

/* What the user should know of how the files were opened, in one line, or "": that the system cannot map one of them, so that
 * it was read into memory as with no_mmap. */
CLLM_API const char *cllm_gguf_note(const cllm_gguf *gguf);

/* The path of the mapped file that holds `address`, or NULL. Async-signal-safe: for a SIGBUS handler. */
CLLM_API const char *cllm_gguf_path_of(const cllm_gguf *gguf, const void *address);

/* Metadata values, with the type numbers of the GGUF specification. */
typedef enum cllm_value_type {
    CLLM_UINT8 = 0,
    CLLM_INT8 = 1,
    CLLM_UINT16 = 2,
    CLLM_INT16 = 3,
    CLLM_UINT32 = 4,
    CLLM_INT32 = 5,
    CLLM_FLOAT32 = 6,
    CLLM_BOOL = 7,
    CLLM_STRING = 8,
    CLLM_ARRAY = 9,
    CLLM_UINT64 = 10,
    CLLM_INT64 = 11,
    CLLM_FLOAT64 = 12,
} cllm_value_type;

typedef struct cllm_string {
    const char *data; /* any bytes, not terminated */
    size_t length;
} cllm_string;

/* A view of an array that is still in the file; walk it with cllm_array_next. */
typedef struct cllm_array {
    cllm_value_type element_type;
    uint64_t count;
    const unsigned char *bytes;
    const unsigned char *end; /* of the file's bytes */
} cllm_array;

typedef struct cllm_value {
    cllm_value_type type;
    union {
        uint64_t u; /* UINT8..UINT64 */
        int64_t i;  /* INT8..INT64 */
        double f;   /* FLOAT32, FLOAT64 */
        bool b;
        cllm_string string;
        cllm_array array;
    };
} cllm_value;

typedef struct cllm_metadata {
    const char *key;
    cllm_value value;
} cllm_metadata;

CLLM_API size_t cllm_gguf_n_metadata(const cllm_gguf *gguf);
CLLM_API const cllm_metadata *cllm_gguf_metadata(const cllm_gguf *gguf, size_t index); /* index < n_metadata */
CLLM_API const cllm_value *cllm_gguf_find(const cllm_gguf *gguf, const char *key);     /* NULL if absent */
CLLM_API bool cllm_gguf_is_overridden(const cllm_gguf *gguf, size_t index);            /* not the file's own value? */

/* Is this one read? True of a model's file (cllm_model_gguf) for what the model and its tokenizer use; of a file that was opened by
 * itself for what the two functions below have found. Making a tokenizer or a plan of a file does not count. */
CLLM_API bool cllm_gguf_is_read(const cllm_gguf *gguf, size_t index);

/* Read the metadata as cllm_model_load and cllm_tokenizer_create do, and make nothing of them: cllm_gguf_is_read then tells which
 * keys a model of this file uses, and which its tokenizer. They change what the file remembers: meanwhile no other thread may ask
 * it. Errors: those that cllm_model_load has for the metadata, and those of cllm_tokenizer_create; keys that come after the fault are
 * then not read. */
CLLM_API cllm_status cllm_gguf_read_model_keys(cllm_gguf *gguf, cllm_error *err);
CLLM_API cllm_status cllm_gguf_read_tokenizer_keys(cllm_gguf *gguf, cllm_error *err);

/* Take the first element off the view `rest`. Returns false when none is left. */
CLLM_API bool cllm_array_next(cllm_array *rest, cllm_value *element);

CLLM_API const char *cllm_value_type_name(cllm_value_type type); /* "uint32", "array", ... */

typedef struct cllm_tensor {
    const char *name;
    int32_t type;      /* ggml's number of the tensor type; see cllm_tensor_type_name */
    uint32_t n_dims;   /* 1..4 */
    uint64_t shape[4]; /* elements, innermost (row length) first; 1 beyond n_dims */
    uint32_t file;     /* which part of a split model holds it, from 0 */
    uint64_t offset;   /* bytes from the start of that file */
    uint64_t n_bytes;
    const void *data; /* [shape[3]][shape[2]][shape[1]] rows of shape[0] elements, in blocks of the type */
} cllm_tensor;

CLLM_API size_t cllm_gguf_n_tensors(const cllm_gguf *gguf);
CLLM_API const cllm_tensor *cllm_gguf_tensor(const cllm_gguf *gguf, size_t index);          /* index < n_tensors */
CLLM_API const cllm_tensor *cllm_gguf_find_tensor(const cllm_gguf *gguf, const char *name); /* NULL if absent */
CLLM_API const char *cllm_tensor_type_name(int32_t type);                                   /* "Q4_0", ...; "unknown" */

/* ------------------------------------------------------------------------------------------------- chats */

/* How a model is talked to: its template, what its vocabulary spells for it, and how its answers are read. Immutable; threads may share
 * it. The template is in the language of Jinja 3.1, as Hugging Face's transformers sets it up. */
typedef struct cllm_chat cllm_chat;
typedef struct cllm_tokenizer cllm_tokenizer;

typedef struct cllm_chat_options {
    const cllm_gguf *gguf;           /* the model's file, whose template is used; or NULL */
    const cllm_tokenizer *tokenizer; /* its tokenizer; NULL: bos_token and the like are what the variables say */
    const char
        *name; /* NULL: the file's tokenizer.chat_template; else its tokenizer.chat_template.NAME, such as tool_use, or
                           that of a family, such as chatml */
    cllm_string source; /* the template itself, UTF-8, which counts before the file's; or {0} */
} cllm_chat_options;

/* A file without a template gets the one of the family whose special tokens its vocabulary has: see cllm_chat_note. Nothing is kept of the
 * options. out: owned. Errors: ARGUMENT (no template has this name), UNSUPPORTED (there is none); of the template, with line and
 * column: FORMAT, UNSUPPORTED (other files are asked for, or it is nested more than 200 deep); MEMORY. */
CLLM_API cllm_status cllm_chat_create(const cllm_chat_options *options, cllm_chat **out, cllm_error *err);
CLLM_API void cllm_chat_destroy(cllm_chat *chat);

/* What the user should know of the template, in one line, or "": it is not the file's own. */
CLLM_API const char *cllm_chat_note(const cllm_chat *chat);

/* The template itself. Valid as long as the chat. */
CLLM_API cllm_string cllm_chat_source(const cllm_chat *chat);

/* What ends the reasoning of an answer, such as "</think>" and the newlines after it, or an empty string: answers have none. */
CLLM_API cllm_string cllm_chat_reasoning_end(const cllm_chat *chat);

/* What may come before the content of an answer: a reasoning, between two marks. */
typedef struct cllm_preamble {
    cllm_string opens;  /* "": nothing but is_open begins it */
    cllm_string closes; /* "": there is none */
    bool is_open;       /* it has begun already, in the prompt */
} cllm_preamble;

/* A piece of a text. What the template spells is trusted, and may become special tokens; what its variables spell is not, wherever the
 * template puts it. */
typedef struct cllm_part {
    bool trusted;
    cllm_string text;
} cllm_part;

enum {
    CLLM_RENDER_AS_IS = 1,        /* hand messages to the template as they are, though it may refuse them */
    CLLM_RENDER_NO_REASONING = 2, /* set the variable by which this template asks for answers without reasoning */
};

/* Render a conversation. objects: [n_objects] JSON objects, whose members are the template's variables: messages, tools,
 * add_generation_prompt and what else it reads; where a name comes again the last counts. What bos_token, eos_token, unk_token, sep_token,
 * pad_token, cls_token and mask_token spell counts as trusted: they come from the vocabulary, so let nobody else set them.
 * With continue_final_message the text ends within the last message, which the model then goes on with.
 * flags: of the enum above. Messages get the form that the template takes: content as a text or as parts, arguments as an object or as JSON
 * text. If it refuses them, later system messages move to the first one, call ids get nine letters and digits, neighbours of one role become one
 * message, and the system's words go to the first user, until it takes them.
 * now: seconds since 1970, which strftime_now tells in local time. parts: out, [*n_parts], owned: release with cllm_free; trusted ones and
 * others take turns.
 * Errors, with line and column: FORMAT and UNSUPPORTED (no JSON, or nested too deep), ARGUMENT (the template refuses the variables, or
 * cannot do with them what it does), UNSUPPORTED (content that is no text; it takes more than 20 million steps or 256 MiB, or calls
 * itself too deep), MEMORY. */
CLLM_API cllm_status cllm_chat_render(const cllm_chat *chat, const cllm_string *objects, size_t n_objects, int flags,
                                      int64_t now, cllm_part **parts, size_t *n_parts, cllm_error *err);

/* What may come before the content of the answer that follows a prompt, [n_parts]. Valid as long as the chat. */
CLLM_API cllm_preamble cllm_chat_preamble(const cllm_chat *chat, const cllm_part *prompt, size_t n_parts);

/* An answer while it is written: reasoning, content and tool calls, as the model's format has them. */
typedef struct cllm_answer cllm_answer;

typedef enum cllm_delta_kind {
    CLLM_DELTA_REASONING, /* more of the reasoning */
    CLLM_DELTA_CONTENT,   /* more of what is said to the user */
    CLLM_DELTA_CALL,      /* a tool call begins */
    CLLM_DELTA_ARGUMENTS, /* more of its arguments, the text of a JSON object */
} cllm_delta_kind;

typedef struct cllm_delta {
    cllm_delta_kind kind;
    size_t call;      /* of CALL and ARGUMENTS: which, from 0 */
    cllm_string id;   /* of CALL: the one that the model gave it, or "" */
    cllm_string text; /* of CALL: the function's name */
} cllm_delta;

/* prompt: [n_parts] the text that the answer follows, which may have opened the reasoning; NULL: one as the template renders it for a
 * message of a user. tools: JSON, the list of tools in OpenAI's form, which gives untyped arguments their types. Only those in the list
 * can be called, so with an empty list none; with an empty text every name can. out: owned. Errors: FORMAT and UNSUPPORTED (tools is no JSON), MEMORY. */
CLLM_API cllm_status cllm_answer_create(const cllm_chat *chat, const cllm_part *prompt, size_t n_parts,
                                        cllm_string tools, cllm_answer **out, cllm_error *err);
CLLM_API void cllm_answer_destroy(cllm_answer *answer);

/* Take the next piece of the answer, any bytes, its special tokens spelled; `ended`: it is the last. deltas: out, [*n_deltas] what
 * is now certain, until the next call. However a text is cut into pieces, its deltas add up to the same. What cannot be read as
 * a call is content: no text is an error. Errors: MEMORY. */
CLLM_API cllm_status cllm_answer_take(cllm_answer *answer, cllm_string text, bool ended, const cllm_delta **deltas,
                                      size_t *n_deltas, cllm_error *err);

/* Has the model written what ends its turn? All that follows is left out. */
CLLM_API bool cllm_answer_has_ended(const cllm_answer *answer);

/* What an answer has to be, when it is to call tools. */
typedef struct cllm_call_options {
    cllm_string
        tools; /* JSON, the list of tools in OpenAI's form. Those that say "strict": true get arguments by their schemas, or it is an
                          error; others as far as their schemas can be enforced, else any arguments */
    cllm_string name; /* only this one of them is called, and has to be; or "" */
    bool must_call;   /* else the answer may say something before it calls, or call nothing */
    bool one_call;    /* at most one */
} cllm_call_options;

/* The answers of this chat's format that call tools, as CLLM_GRAMMAR_STRUCTURE; its special tokens have to be spelled for cllm_answer_take
 * (spell_control). prompt: [n_parts] what they follow, or NULL, as cllm_answer_create has it. structure: owned, terminated: release with cllm_free.
 * preamble: out, for cllm_generation_options: the reasoning that may come before. Valid as long as the chat.
 * Where arguments stand between marks, key by key, they come in the order of the schema, and a free string ends at its mark.
 * Errors: FORMAT and UNSUPPORTED (tools is no JSON), ARGUMENT (no tool, or none of this name; a name that calls cannot spell), UNSUPPORTED (a
 * strict tool's arguments, which this format cannot hold to its schema), MEMORY. cllm_grammar_create refuses the schema of a strict tool that it
 * cannot enforce, and names the tool. */
CLLM_API cllm_status cllm_chat_call_structure(const cllm_chat *chat, const cllm_call_options *options,
                                              const cllm_part *prompt, size_t n_parts, char **structure,
                                              cllm_preamble *preamble, cllm_error *err);

/* -------------------------------------------------------------------------------------------- tokenizer */

/* Make the tokenizer that a file's tokenizer.ggml.* keys describe; the file needs no tensors. The tokenizer keeps
 * pointers into `gguf`, which must outlive it. A byte-level BPE vocabulary is cut into words as tokenizer.ggml.pre says:
 * an override of it (cllm_load_options) chooses another way. out: owned. Errors: FORMAT, UNSUPPORTED, MEMORY. */
CLLM_API cllm_status cllm_tokenizer_create(const cllm_gguf *gguf, cllm_tokenizer **out, cllm_error *err);
CLLM_API void cllm_tokenizer_destroy(cllm_tokenizer *tokenizer);

CLLM_API uint32_t cllm_tokenizer_n_vocab(const cllm_tokenizer *tokenizer);
CLLM_API int32_t cllm_tokenizer_bos(const cllm_tokenizer *tokenizer);   /* -1 if the vocabulary has none */
CLLM_API int32_t cllm_tokenizer_eos(const cllm_tokenizer *tokenizer);   /* -1 if the vocabulary has none */
CLLM_API bool cllm_tokenizer_adds_bos(const cllm_tokenizer *tokenizer); /* does the model want BOS first? */
CLLM_API bool cllm_tokenizer_adds_eos(const cllm_tokenizer *tokenizer); /* does the model want EOS last? */

/* What the user should know of the file's vocabulary, in one line, or "": it does not say how texts are cut. */
CLLM_API const char *cllm_tokenizer_note(const cllm_tokenizer *tokenizer);

enum {
    CLLM_ENCODE_ADD_SPECIAL = 1,   /* put BOS and EOS where the model wants them */
    CLLM_ENCODE_PARSE_SPECIAL = 2, /* find control tokens in the text (user-defined ones are found always) */
    CLLM_ENCODE_GOES_ON = 4,       /* other text is before this one: no space is put in front of it */
};

/* Text to ids. text: `length` bytes of any value; what is not valid UTF-8 is encoded byte by byte. For models that
 * want Unicode's NFC, a letter and the marks after it are encoded as the one character for them, where there is one.
 * flags: of the enum above. tokens: owned, [*count], release with cllm_free; never NULL on success.
 * Time is O(length log length). Errors: ARGUMENT (text over 1 GiB), MEMORY, UNSUPPORTED (a character that
 * the vocabulary cannot express). */
CLLM_API cllm_status cllm_tokenizer_encode(const cllm_tokenizer *tokenizer, const char *text, size_t length, int flags,
                                           int32_t **tokens, size_t *count, cllm_error *err);
CLLM_API void cllm_free(void *memory);

/* The ids of a text in parts, as cllm_chat_render gives them. The parts are one text to whoever cuts it into words. A special token
 * is found where its whole spelling is trusted; one that is called user-defined, and has no brackets or bars in its spelling (such as a
 * run of spaces), everywhere. flags: ADD_SPECIAL puts BOS first where the model wants it and the text does not begin with it; GOES_ON.
 * tokens, errors: as cllm_tokenizer_encode has them. */
CLLM_API cllm_status cllm_tokenizer_encode_parts(const cllm_tokenizer *tokenizer, const cllm_part *parts,
                                                 size_t n_parts, int flags, int32_t **tokens, size_t *count,
                                                 cllm_error *err);

/* The ids of two texts in one, as models that rank documents read them: by the file's template for it (tokenizer.chat_template.rerank),
 * else with the tokens that the vocabulary has around two texts and between them. No special token is found in either text.
 * tokens, errors: as cllm_tokenizer_encode has them. */
CLLM_API cllm_status cllm_tokenizer_encode_pair(const cllm_tokenizer *tokenizer, cllm_string query,
                                                cllm_string document, int32_t **tokens, size_t *count, cllm_error *err);

/* The vocabulary's own spelling of a token, as it stands in the file. id: 0..n_vocab-1, else an empty string. */
CLLM_API cllm_string cllm_tokenizer_piece(const cllm_tokenizer *tokenizer, int32_t id);

/* True for control and unknown tokens: they steer the model and are no part of the text. */
CLLM_API bool cllm_tokenizer_is_control(const cllm_tokenizer *tokenizer, int32_t id);

/* Does generation end at this token? EOS, and those that end a turn or a message: "eog" is "end of generation".
 * id: 0..n_vocab-1, else false. */
CLLM_API bool cllm_tokenizer_is_eog(const cllm_tokenizer *tokenizer, int32_t id);

/* The bytes that token `id` adds to the text when it follows `previous` (-1: nothing). The space that encoding puts
 * in front of a text is taken off again. Control tokens give their spelling: the caller decides whether to show them.
 * One token may be part of a UTF-8 character. id: 0..n_vocab-1, else an empty string. */
CLLM_API cllm_string cllm_tokenizer_decode(const cllm_tokenizer *tokenizer, int32_t previous, int32_t id);

/* The ids of a text that grows by what a model generates, and is rendered anew for each turn of a conversation. What is there already keeps its
 * ids, so that a turn evaluates only what is new. */
typedef struct cllm_transcript cllm_transcript;

/* An empty one. tokenizer: must outlive it. out: owned. Errors: MEMORY. */
CLLM_API cllm_status cllm_transcript_create(const cllm_tokenizer *tokenizer, cllm_transcript **out, cllm_error *err);
CLLM_API void cllm_transcript_destroy(cllm_transcript *transcript);

CLLM_API const int32_t *cllm_transcript_tokens(const cllm_transcript *transcript); /* [n_tokens], until it changes */
CLLM_API size_t cllm_transcript_n_tokens(const cllm_transcript *transcript);

/* This is the text now. What it begins with like the text before keeps its ids; what follows is encoded. What was encoded at once is kept as a
 * whole or not at all; what was generated, up to where the new text differs. BOS comes first if the model wants it.
 * For a generation, cllm_sequence_reuse then lets a sequence begin with these tokens. After an error some of the old text is left.
 * Errors: those of cllm_tokenizer_encode_parts. */
CLLM_API cllm_status cllm_transcript_set(cllm_transcript *transcript, const cllm_part *parts, size_t n_parts,
                                         cllm_error *err);

/* These tokens were generated after the text. Leave out an end token: the next text spells it. The ids are those of the
 * vocabulary. Errors: MEMORY. */
CLLM_API cllm_status cllm_transcript_append(cllm_transcript *transcript, const int32_t *tokens, size_t count,
                                            cllm_error *err);

/* ------------------------------------------------------------------------------------------------ model */

typedef struct cllm_model cllm_model;

/* How CLLM_WANT_EMBEDDING makes one vector of a span's rows. */
typedef enum cllm_pooling {
    CLLM_POOLING_MODEL = 0, /* as the file's <architecture>.pooling_type says; where it does not, the last row */
    CLLM_POOLING_NONE = 1,  /* each row is handed out */
    CLLM_POOLING_MEAN = 2,  /* the mean of all rows of the span */
    CLLM_POOLING_CLS = 3,   /* the first row */
    CLLM_POOLING_LAST = 4,  /* the last row */
    CLLM_POOLING_RANK = 5,  /* what the model's classifier makes of one vector: scores, which are never scaled */
} cllm_pooling;

typedef struct cllm_model_info {
    const char *architecture;
    const char *name;      /* general.name, or "" */
    uint32_t n_layers;     /* transformer blocks */
    uint32_t n_embd;       /* embedding length */
    uint32_t n_heads;      /* query heads */
    uint32_t n_kv_heads;   /* key and value heads; divides n_heads */
    uint32_t key_length;   /* per head */
    uint32_t value_length; /* per head */
    uint32_t n_ff;         /* feed-forward length */
    uint32_t n_vocab;
    uint32_t n_ctx_train;     /* the context the model was trained for */
    uint32_t n_embd_out;      /* floats of an embedding: n_embd, or what dense layers after the pooling make of it */
    uint32_t n_scores;        /* the same of CLLM_POOLING_RANK; 0: the model has no classifier */
    cllm_pooling pooling;     /* what CLLM_POOLING_MODEL stands for */
    bool is_encoder;          /* its tokens see those after them, too: it can only embed, and generates no text */
    uint64_t n_parameters;    /* elements of all tensors, but for those of a model of images in the file */
    uint64_t bytes_per_token; /* weight bytes that generating one token reads */
    const char *note;         /* what the file has or asks for and does not get, in one line, or "" */
} cllm_model_info;

/* A LoRA adapter: a GGUF file, as llama.cpp's convert_lora_to_gguf.py writes it, that changes a model of the same
 * architecture and shape. For its pairs A and B of a matrix W, the model computes with W + scale * alpha / rank * B A (alpha
 * is the file's; where that is 0, W + scale * B A). */
typedef struct cllm_lora {
    const char *path;
    float scale; /* finite; 1 is as it was trained, 0 leaves the model as it is */
} cllm_lora;

/* Open a GGUF file and bind its weights, which stay in the mapped file, and so do those of options->loras, which add up.
 * out: owned. Errors: those of cllm_gguf_open and cllm_tokenizer_create; ARGUMENT (repack of a file that is not mapped). */
CLLM_API cllm_status cllm_model_load(const char *path, const cllm_load_options *options, cllm_model **out,
                                     cllm_error *err);
CLLM_API void cllm_model_destroy(cllm_model *model);

CLLM_API const cllm_model_info *cllm_model_get_info(const cllm_model *model);
CLLM_API const cllm_gguf *cllm_model_gguf(const cllm_model *model);
/* cllm_gguf_path_of for all files of the model, its adapters among them. Async-signal-safe. */
CLLM_API const char *cllm_model_path_of(const cllm_model *model, const void *address);
/* cllm_gguf_note of the model's file, or else of the first adapter's that has one. */
CLLM_API const char *cllm_model_file_note(const cllm_model *model);
/* NULL if the file has none, or one of a kind that is not supported: cllm_tokenizer_create then says which. The model
 * runs by token ids all the same. */
CLLM_API const cllm_tokenizer *cllm_model_tokenizer(const cllm_model *model);

/* ----------------------------------------------------------------------------------------------- engine */

/* What computes: threads, a device and the weights on it, work space, and the pages of keys and values of all sequences. */
typedef struct cllm_engine cllm_engine;

typedef enum cllm_kv_type {
    CLLM_KV_F16 = 0,
    CLLM_KV_F32 = 1,
    CLLM_KV_Q8_0 = 2, /* int8, 32 of which share a scale */
} cllm_kv_type;

#define CLLM_GPU_LAYERS_ALL UINT32_MAX

/* What cllm_engine_options.device may be, separated by ", ": "cpu", "auto", and the APIs of GPUs in the order in which "auto" tries
 * them. Metal is among them in every build, and works on macOS. */
CLLM_API const char *cllm_device_names(void);

typedef struct cllm_engine_options {
    uint32_t n_ctx; /* most positions of one sequence; 0: the model's own (of LongRoPE the original, for which its short
                               factors are: more must be asked for, and has the long ones), or n_positions if fewer; without n_positions
                               as many as fit in memory if fewer */
    uint32_t n_batch;     /* most tokens in one forward pass; 0: 512; on a GPU at most 2048 */
    uint32_t n_threads;   /* 0: the cores this process may use */
    cllm_kv_type kv_type; /* how keys and values are stored */
    const char *cpu_isa;  /* "scalar", "avx2" and so on, or NULL: the best that this CPU has */
    const char *device; /* of cllm_device_names; "metal", "cuda", "opencl": that API's GPU (of OpenCL any device), or an
                               error; "auto": the first GPU that can run the model, or the CPU: see cllm_engine_device_note; NULL or "cpu": the
                               CPU */
    uint32_t gpu_layers; /* so many of the model's last layers run on the GPU, and with them its output; 0: as many as
                               fit; CLLM_GPU_LAYERS_ALL: all of them. keys and values there: F16 or F32 */
    bool exact;          /* on a GPU too, the same bits in any batch: without the kernels for long batches */
    cllm_progress
        progress; /* or NULL; asked by the calling thread several times a layer, of a GPU's layers once, and with
                               bytes while weights move to a GPU */
    void *user;   /* handed to `progress` */
    uint32_t n_positions;  /* of all sequences together, in pages of 256; 0: n_ctx */
    uint32_t n_sequences;  /* most sequences at a time, 0: 1; at most 4096 */
    uint32_t device_index; /* which of the API's devices, from 0; OpenCL's are counted over all its platforms, GPUs
                              first; with "auto": of the first API that has a GPU of that number */
    uint64_t
        cache_bytes; /* most bytes that the prefix cache keeps beside what sequences hold; 0: there is none. They are of keys and
                             values, in pages; of a model with recurrent layers as much is for states, each of one size, whatever the
                             length of its text. Less than a state and its pages take is no cache */
    cllm_pooling pooling; /* of CLLM_WANT_EMBEDDING */
    bool raw_embeddings;  /* do not scale embeddings to length 1 */
} cllm_engine_options;

/* All in bytes but n_ctx. The weights are the mapped file's own pages, which the system may drop and read again, unless the
 * model was read or repacked into memory. */
typedef struct cllm_memory_plan {
    uint64_t weights;
    uint64_t kv_cache; /* pages of keys and values, those of the prefix cache among them */
    uint64_t states; /* of recurrent layers: three of each sequence, and those of the prefix cache; 0: there are none */
    uint64_t scratch;   /* the buffers of a forward pass: activations and logits */
    uint64_t available; /* what this process may still take, or 0 if unknown */
    uint32_t n_ctx;     /* the context planned for */
    bool n_ctx_capped;  /* true: n_ctx was 0 and not all of the model's own context would fit */

    uint32_t n_gpu_layers; /* that run on a GPU; 0: none, and so are the rest. What follows is the GPU's memory, */
    uint64_t gpu_weights;  /* or, where it reads the weights in the mapped file, what it reads there */
    uint64_t gpu_kv_cache;
    uint64_t gpu_scratch;
    uint64_t gpu_available; /* or 0 if unknown */
} cllm_memory_plan;

/* What an engine of these options would need on the CPU: `device` is not looked at. Works for every architecture whose file has
 * the usual keys (<architecture>.block_count, .embedding_length, .attention.head_count ...). options: may be NULL.
 * Errors: FORMAT or UNSUPPORTED (the keys are missing), MEMORY (a given n_ctx does not fit; *plan is filled). */
CLLM_API cllm_status cllm_plan_memory(const cllm_gguf *gguf, const cllm_engine_options *options, cllm_memory_plan *plan,
                                      cllm_error *err);

/* The model must outlive the engine. Its weights move to a GPU once, unless that reads them in place (Metal, and OpenCL on shared
 * memory). options: may be NULL. out: owned; all its sequences end with it. Calls on an engine, its sequences and generations
 * come from one thread at a time.
 * Errors: ARGUMENT; MEMORY; DEVICE: the GPU that was named is not there, cannot run the model, or has no room for the layers;
 * CANCELLED: `progress`, which is asked while weights move to a GPU. */
CLLM_API cllm_status cllm_engine_create(const cllm_model *model, const cllm_engine_options *options, cllm_engine **out,
                                        cllm_error *err);
CLLM_API void cllm_engine_destroy(cllm_engine *engine);

CLLM_API const cllm_memory_plan *cllm_engine_plan(const cllm_engine *engine);
CLLM_API uint32_t cllm_engine_n_threads(const cllm_engine *engine);
CLLM_API const char *cllm_engine_cpu_isa(const cllm_engine *engine);     /* the kernel path in use */
CLLM_API cllm_pooling cllm_engine_pooling(const cllm_engine *engine);    /* never CLLM_POOLING_MODEL */
CLLM_API uint32_t cllm_engine_n_embd_out(const cllm_engine *engine);     /* floats of a row of CLLM_WANT_EMBEDDING */
CLLM_API const char *cllm_engine_device(const cllm_engine *engine);      /* "cpu", or the name of the GPU's API */
CLLM_API const char *cllm_engine_device_name(const cllm_engine *engine); /* the GPU's own name, or "" */
/* Why "auto" chose the CPU, in one line: there is no GPU, or none that can run the model. Else "". */
CLLM_API const char *cllm_engine_device_note(const cllm_engine *engine);

/* From the next call on; progress: may be NULL. */
CLLM_API void cllm_engine_set_progress(cllm_engine *engine, cllm_progress progress, void *user);

typedef struct cllm_stats {
    uint64_t
        tokens_evaluated;   /* rows of all forward passes, also of tokens that recurrent layers had to read once more */
    uint64_t cache_hits;    /* calls of cllm_sequence_reuse that found something in it */
    uint64_t tokens_reused; /* by them, in all */
    uint64_t evictions;     /* pages that the prefix cache gave up */
    uint32_t pages_held;    /* by sequences now; a page that several share counts once */
    uint32_t pages_cached;  /* by the prefix cache alone, now */
    uint64_t gpu_launches;  /* of a GPU's kernels; 0 on the CPU */
    uint64_t gpu_bytes;     /* of weights, keys, values and activations that these read and wrote */
} cllm_stats;
CLLM_API cllm_stats cllm_engine_stats(const cllm_engine *engine);

/* -------------------------------------------------------------------------------------------- sequences */

/* Tokens evaluated in an engine, and the keys and values that they left there. */
typedef struct cllm_sequence cllm_sequence;

/* An empty sequence. All of an engine share its n_positions. out: owned; must end before its engine. Errors: MEMORY (the engine has n_sequences of them already). */
CLLM_API cllm_status cllm_sequence_create(cllm_engine *engine, cllm_sequence **out, cllm_error *err);
CLLM_API void cllm_sequence_destroy(cllm_sequence *sequence);

CLLM_API uint32_t cllm_sequence_length(const cllm_sequence *sequence);       /* tokens evaluated so far */
CLLM_API const int32_t *cllm_sequence_tokens(const cllm_sequence *sequence); /* [length] those tokens */

/* Another sequence that begins with the first `length` tokens of this one. It shares their pages; one that is not full is copied
 * when either writes there. out: owned.
 * Errors: ARGUMENT (length is beyond the sequence's), MEMORY, and UNSUPPORTED as cllm_sequence_truncate has it. */
CLLM_API cllm_status cllm_sequence_fork(const cllm_sequence *sequence, uint32_t length, cllm_sequence **out,
                                        cllm_error *err);

/* Forget all tokens from `length` on. Taking back up to n_batch tokens of the last cllm_eval always works if that returned OK, and so does
 * length 0.
 * Errors, with nothing changed: ARGUMENT if length is beyond the sequence's; UNSUPPORTED if the model has sliding windows that
 * have dropped what that length looks back at, or recurrent layers of which no state is held that is as old. */
CLLM_API cllm_status cllm_sequence_truncate(cllm_sequence *sequence, uint32_t length, cllm_error *err);

/* Let a sequence begin with `tokens`, [count], as far as they are evaluated already: what it has of them stays, and all after that is forgotten;
 * or, where the prefix cache has more of them, it begins with that. Never with all of them: the last token is left to evaluate. count 0: the
 * sequence is empty then. All that an engine evaluates is in its cache at once, while its sequence lives and after. With recurrent layers the
 * sequence begins where a state is held, which may be a little before: a sequence has a few, and the cache has some of each prompt.
 * Returns the sequence's length then. */
CLLM_API size_t cllm_sequence_reuse(cllm_sequence *sequence, const int32_t *tokens, size_t count);

/* Save a sequence's tokens, keys and values, to go on from them later without evaluating them again. The file is written beside
 * `path`, as path.partial, and renamed: whatever happens, the old file or the new one is there. It holds the text.
 * Errors: IO, MEMORY, DEVICE. */
CLLM_API cllm_status cllm_sequence_save(const cllm_sequence *sequence, const char *path, cllm_error *err);

/* A sequence from such a file, which this engine, or one just like it, must have saved. out: owned.
 * Errors: IO; FORMAT (the file is damaged, or none of these); UNSUPPORTED, and what is not the same: the version of the format, the model
 * (its metadata with overrides, its tensors, its adapters), the type of keys and values, the kernel path, the device, the factors of
 * RoPE, on a GPU also `exact`; CONTEXT_FULL; MEMORY (no sequence or page is left); DEVICE. */
CLLM_API cllm_status cllm_sequence_load(cllm_engine *engine, const char *path, cllm_sequence **out, cllm_error *err);

/* ------------------------------------------------------------------------------------------- evaluating */

typedef enum cllm_want {
    CLLM_WANT_NOTHING, /* keys and values alone */
    CLLM_WANT_NEXT,    /* the likeliest next token; a GPU then hands back one number */
    CLLM_WANT_LAST,    /* the logits of the last token */
    CLLM_WANT_EACH,    /* the logits of every token */
    CLLM_WANT_EMBEDDING, /* the state after the model's last norm, as the engine's `pooling` says. Of an encoder (is_encoder) there
                            is nothing else to want: the sequence must be empty, and is empty afterwards */
} cllm_want;

/* Tokens of one sequence that are to be evaluated. */
typedef struct cllm_span {
    cllm_sequence *sequence; /* at most once in a call */
    const int32_t *tokens;   /* [count], after the sequence's end */
    size_t count;            /* 1 or more */
    cllm_want want;
    const float *
        rows; /* out: [1 or count][n_vocab] logits, or [1, or of CLLM_POOLING_NONE count][cllm_engine_n_embd_out]; until
                            the next cllm_eval, or NULL */
    int32_t next;       /* out, of WANT_NEXT: the likeliest token, the lowest id of equals; else -1 */
    cllm_status status; /* out */
} cllm_span;

/* Evaluate spans of several sequences together. Each row has the same bits alone or beside any others, for any n_batch and
 * n_threads (on a GPU: if `exact`). The call returns the first status of a span that is not OK.
 *   - All spans are checked first. If one fails nothing is evaluated, and each span's status says its own reason, or OK if it has
 *     none: ARGUMENT (a sequence twice or of another engine, count 0, an id outside the vocabulary), CONTEXT_FULL (n_ctx), MEMORY (no
 *     page is left).
 *   - CANCELLED, DEVICE (which stays) and MEMORY (of more rows of output) are the status of all spans, and none has a result. Each
 *     sequence is as long as its last whole forward pass.
 *   - WANT_NEXT has the errors of cllm_sequence_diagnose, if a logit is not a finite number: for that span alone. The others have
 *     their results.
 * The engine has n_sequences rows of output; more rows, of WANT_EACH or CLLM_POOLING_NONE, are the one thing that evaluating allocates. */
CLLM_API cllm_status cllm_eval(cllm_engine *engine, cllm_span *spans, size_t n_spans, cllm_error *err);

/* Why is a logit of the sequence's last evaluation not a finite number? Looks at every weight, which takes a while. Never CLLM_OK:
 * FORMAT, a weight is not finite, and the file damaged (err->name: the tensor); UNSUPPORTED, the model computes numbers that
 * are too large: for float16 keys and values if err->name is "kv_type", so that another kv_type helps; DEVICE, MEMORY. */
CLLM_API cllm_status cllm_sequence_diagnose(const cllm_sequence *sequence, cllm_error *err);

/* ---------------------------------------------------------------------------------------------- sampler */

typedef struct cllm_sampler cllm_sampler;

/* The steps of a chain, in the order that is usual. */
typedef enum cllm_sampler_step {
    CLLM_STEP_END = 0,
    CLLM_STEP_PENALTIES, /* repeat_penalty, frequency_penalty, presence_penalty */
    CLLM_STEP_DRY,
    CLLM_STEP_TOP_N_SIGMA,
    CLLM_STEP_TEMPERATURE, /* with dynatemp_range */
    CLLM_STEP_TOP_K,
    CLLM_STEP_TYPICAL_P,
    CLLM_STEP_TOP_P,
    CLLM_STEP_MIN_P,
    CLLM_STEP_XTC,
    CLLM_STEP_INFILL,     /* is no part of the usual order */
    CLLM_STEP_ADAPTIVE_P, /* the same; it always comes last */
    CLLM_N_STEPS,
} cllm_sampler_step;

typedef struct cllm_logit_bias {
    int32_t token;
    float bias; /* is added to the logit; -INFINITY rules the token out */
} cllm_logit_bias;

/* The definitions are llama.cpp's. {0} is greedy, and every step is off; of a chain that draws, CLLM_SAMPLER_DEFAULTS are the beginning. Penalties
 * and DRY look at the text so far, the prompt included: see cllm_sampler_begin. */
typedef struct cllm_sampler_options {
    float
        temperature; /* 0 or less: always the most likely token (the lowest id of equals) of what the other steps leave */
    float top_p;     /* (0, 1]: keep the shortest prefix by probability that sums to this; 1, or 0: off */
    uint32_t top_k; /* keep the k most likely and their equals; 0: off */
    uint64_t seed;  /* of the random numbers: any number, 0 too */

    float min_p; /* [0, 1]: keep tokens at least so many times as likely as the likeliest; 0: off */
    float
        typical_p; /* (0, 1]: keep the tokens whose surprise is closest to the expected one, until they sum to more; 1, or 0: off */
    float top_n_sigma; /* keep logits within so many standard deviations of the largest; 0 or less: off */
    float
        xtc_probability; /* [0, 1]: how often all tokens that reach the threshold but the least likely of them go; 0: off */
    float xtc_threshold; /* [0, 0.5]; more: off */
    float
        dynatemp_range; /* the temperature lies within so much of `temperature`, higher where the distribution is even; 0: off */
    float dynatemp_exponent;

    uint32_t penalty_last_n; /* of the last tokens, which are penalized; 0: off */
    float repeat_penalty;    /* divides a positive logit and multiplies another; 1, or 0: off */
    float frequency_penalty; /* is subtracted for each time that the token came */
    float presence_penalty;  /* is subtracted once */

    float dry_multiplier; /* DRY: a token that would prolong a run of n tokens, which the text has already, loses */
    float dry_base;       /*   multiplier * base^(n - allowed_length); multiplier 0, or base below 1: off */
    uint32_t dry_allowed_length; /* shorter runs lose nothing */
    uint32_t dry_penalty_last_n; /* of the last tokens are looked at; 0: off */
    const cllm_string *
        dry_breakers; /* [n_dry_breakers] texts that no run goes across, up to 40 bytes of each; NULL: "\n" ":" "\"" "*" */
    size_t n_dry_breakers;

    uint32_t mirostat;  /* 1 or 2: temperature and this alone, in the place of the other steps; 0: off */
    float mirostat_tau; /* the surprise that it aims at, in bits */
    float mirostat_eta; /* how fast it gets there */
    float
        adaptive_target; /* [0, 1]: the probability that drawn tokens have on average; negative: the step does nothing */
    float adaptive_decay; /* [0, 0.99]: how long it remembers what was drawn */

    const cllm_logit_bias *logit_bias; /* [n_logit_bias], added before all steps, copied */
    size_t n_logit_bias;
    const cllm_sampler_step *steps; /* [n_steps], each once at most, copied; NULL: the usual order, up to XTC */
    size_t n_steps;
    const cllm_tokenizer *
        tokenizer; /* of the vocabulary, for DRY's breakers (NULL: there are none) and infill; must outlive the sampler */
} cllm_sampler_options;

#define CLLM_SAMPLER_DEFAULTS                                                                                          \
    {                                                                                                                  \
        .temperature = 0.8f, .top_p = 0.9f, .top_k = 40, .seed = 42, .xtc_threshold = 0.1f, .dynatemp_exponent = 1,    \
        .penalty_last_n = 64, .dry_base = 1.75f, .dry_allowed_length = 2, .dry_penalty_last_n = 64, .mirostat_tau = 5, \
        .mirostat_eta = 0.1f, .adaptive_target = -1, .adaptive_decay = 0.9f                                            \
    }

/* options: NULL is {0}, greedy. out: owned. Errors: ARGUMENT (a value is not in its range), MEMORY. */
CLLM_API cllm_status cllm_sampler_create(uint32_t n_vocab, const cllm_sampler_options *options, cllm_sampler **out,
                                         cllm_error *err);
CLLM_API void cllm_sampler_destroy(cllm_sampler *sampler);

/* The text so far, for penalties and DRY, in the place of what they knew: [count] tokens, of which the last are kept. cllm_generation_create
 * calls it with the prompt. The random numbers, mirostat and adaptive-p go on as they are. */
CLLM_API void cllm_sampler_begin(cllm_sampler *sampler, const int32_t *tokens, size_t count);

/* Has the metadata key general.sampling.sequence, or an option, this step? name: llama.cpp's, such as top_k, top-k or topk, of any case. END: no
 * step has that name. */
CLLM_API cllm_sampler_step cllm_sampler_step_named(const char *name, size_t length);
CLLM_API const char *cllm_sampler_step_name(cllm_sampler_step step); /* "top_k" */

/* Words of a mask of tokens: token t is allowed if bit t % 32 of word t / 32 is set. */
#define CLLM_MASK_WORDS(n_vocab) (((size_t)(n_vocab) + 31) / 32)

/* Draw the next token. logits: [n_vocab], unchanged. mask: [CLLM_MASK_WORDS(n_vocab)] the tokens that may be drawn, or NULL: all.
 * The same logits give the same token until one is accepted.
 * Errors: FORMAT if a logit is NaN or that of the likeliest token is infinite, ARGUMENT if mask and logit bias allow no token. */
CLLM_API cllm_status cllm_sampler_sample(cllm_sampler *sampler, const float *logits, const uint32_t *mask,
                                         int32_t *token, cllm_error *err);

/* Go on to the next draw: `token`, of the vocabulary, is now part of the text. */
CLLM_API void cllm_sampler_accept(cllm_sampler *sampler, int32_t token);

/* --------------------------------------------------------------------------------------------- grammars */

/* The texts of a vocabulary, put in order for grammars: made once, for all of them. Immutable; threads may share it. */
typedef struct cllm_token_index cllm_token_index;

/* tokenizer: must outlive it. out: owned. Errors: MEMORY. */
CLLM_API cllm_status cllm_token_index_create(const cllm_tokenizer *tokenizer, cllm_token_index **out, cllm_error *err);
CLLM_API void cllm_token_index_destroy(cllm_token_index *index);

/* A set of texts. It remembers what it found out, so it and its matchers belong to one thread at a time. */
typedef struct cllm_grammar cllm_grammar;

typedef enum cllm_grammar_kind {
    CLLM_GRAMMAR_GBNF,        /* rules in llama.cpp's form of BNF; `root` is the text */
    CLLM_GRAMMAR_REGEX,       /* a regular expression that the whole text matches, in the syntax of ECMAScript's */
    CLLM_GRAMMAR_JSON_SCHEMA, /* JSON by a schema (draft 4 to 2020-12; $schema says which), properties in any order */
    CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER, /* the same, properties in the order of the schema, others after them */
    CLLM_GRAMMAR_CHOICE,               /* one of the lines of the text; empty ones do not count */
    CLLM_GRAMMAR_STRUCTURE,          /* parts in JSON, as below; only its texts may also be written by special tokens */
    CLLM_GRAMMAR_JSON_SCHEMA_CLOSED, /* as JSON_SCHEMA, but objects whose properties are listed have no others, unless */
    CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER, /* the schema speaks of them: a model may invent others without end */
} cllm_grammar_kind;

/* index: must outlive it. text: UTF-8. out: owned; must outlive its matchers.
 * Errors, with line and column, or the path of a schema's part, if they have a place: FORMAT (the syntax), ARGUMENT (no text is allowed; left recursion;
 * an unknown rule), UNSUPPORTED (what cannot be enforced, such as a look behind; it is too large), MEMORY.
 *
 * A schema's JSON has at most 20 characters of white space between its tokens. Names, enumerated strings and strings with a pattern or format are spelled
 * without needless escapes. A format is enforced; one that JSON Schema does not know has no effect.
 *
 * A part of a structure is
 *   "text"                                            that text, by its letters or by special tokens that it spells
 *   [part, ...]                                       one after the other
 *   {"any": [part, ...]}                              one of them
 *   {"repeat": part, "least": n, "most": m}           so many times; without the numbers: any number of times
 *   {"regex": "..."}                                  a text that matches
 *   {"without": ["text", ...]}                        any text in which none of these occurs
 *   {"schema": {...}, "in_order": true, "closed": true, "name": "..", "else": part}
 *                                                     JSON by a schema; messages say its name. `else` takes its place if it cannot be enforced */
CLLM_API cllm_status cllm_grammar_create(const cllm_token_index *index, cllm_grammar_kind kind, cllm_string text,
                                         cllm_grammar **out, cllm_error *err);
CLLM_API void cllm_grammar_destroy(cllm_grammar *grammar);

/* A text that keeps to a grammar, so far. */
typedef struct cllm_matcher cllm_matcher;

/* An empty text; fork: one that goes on from where another is. out: owned. Errors: MEMORY, UNSUPPORTED (it could begin in too many ways). */
CLLM_API cllm_status cllm_matcher_create(cllm_grammar *grammar, cllm_matcher **out, cllm_error *err);
CLLM_API cllm_status cllm_matcher_fork(const cllm_matcher *matcher, cllm_matcher **out, cllm_error *err);
CLLM_API void cllm_matcher_destroy(cllm_matcher *matcher);

/* The tokens that may come next: mask is [CLLM_MASK_WORDS(n_vocab)], out. Tokens that end a text are allowed where the grammar may end.
 * Errors: MEMORY; UNSUPPORTED (the grammar could go on in too many ways here), ARGUMENT (an end token was taken). */
CLLM_API cllm_status cllm_matcher_fill_mask(cllm_matcher *matcher, uint32_t *mask, cllm_error *err);

/* The text goes on with a token. Errors: as above; ARGUMENT (it is not allowed), with nothing changed. */
CLLM_API cllm_status cllm_matcher_take(cllm_matcher *matcher, int32_t token, cllm_error *err);

/* The same with bytes, of which *n_taken are allowed. If those are not all, nothing changes. */
CLLM_API cllm_status cllm_matcher_take_bytes(cllm_matcher *matcher, const char *bytes, size_t length, size_t *n_taken,
                                             cllm_error *err);

CLLM_API bool cllm_matcher_can_end(const cllm_matcher *matcher); /* may the text end here? */

/* ------------------------------------------------------------------------------------------- generation */

/* One request: what is to be evaluated next for a text that goes on from a prompt, and what becomes of the result. */
typedef struct cllm_generation cllm_generation;

typedef enum cllm_end {
    CLLM_END_NONE = 0,     /* it goes on */
    CLLM_END_TOKEN,        /* an end token was drawn */
    CLLM_END_STOP_STRING,  /* the text came to one of the stop strings */
    CLLM_END_LENGTH,       /* n_most tokens were drawn */
    CLLM_END_CONTEXT_FULL, /* prompt and text fill the context */
    CLLM_END_CANCELLED,
    CLLM_END_GRAMMAR, /* the grammar is fulfilled, and allows nothing more */
} cllm_end;

typedef struct cllm_logprob {
    int32_t token;
    float logprob; /* natural logarithm of its probability, before temperature and masks */
} cllm_logprob;

/* What a step brought. All is valid until the next cllm_generation_take. */
typedef struct cllm_event {
    const int32_t *tokens; /* [n_tokens] that were drawn; an end token is among them */
    size_t n_tokens;
    cllm_string
        text; /* what is now certain: nothing that may become a stop string, and whole characters, but for what the
                         model never completes */
    const cllm_logprob
        *logprobs; /* [n_tokens][1 + n_logprobs]: of each token drawn its own, and the likeliest; or NULL */
    cllm_end end;
    bool is_unfinished;             /* with a grammar: the text has ended before it was one of the grammar's */
    size_t stop_string;             /* of CLLM_END_STOP_STRING: which */
    uint64_t n_drafted, n_accepted; /* draft tokens so far, and those that were also drawn */
} cllm_event;

/* Allow tokens: set the bits of mask, [CLLM_MASK_WORDS(n_vocab)] of zeros, for what may come after `tokens`. */
typedef void (*cllm_fill_mask)(void *user, const int32_t *tokens, size_t count, uint32_t *mask);

typedef struct cllm_generation_options {
    cllm_sampler *sampler;           /* borrowed; NULL: greedy */
    const int32_t *end_tokens;       /* [n_end_tokens], copied; NULL: those of the vocabulary (cllm_tokenizer_is_eog) */
    size_t n_end_tokens;             /* with end_tokens 0: there are none */
    const cllm_string *stop_strings; /* [n_stop_strings], copied; none is empty. They are no part of the text */
    size_t n_stop_strings;
    uint64_t n_most;    /* tokens; 0: as many as the context holds */
    bool spell_control; /* control tokens stand in the text, as the vocabulary spells them: for cllm_answer_take */
    bool logprobs;
    uint32_t n_logprobs;           /* of the likeliest, beside that of the token itself */
    cllm_grammar *grammar;         /* that the text keeps to, borrowed; or NULL */
    cllm_preamble preamble;        /* copied: the grammar begins after it, and white space; {0}: at once */
    cllm_fill_mask fill_mask;      /* or NULL: any token may be drawn */
    void *fill_mask_user;          /* handed to fill_mask */
    uint32_t n_draft;              /* most tokens of a draft; 0: 16 */
    bool draft_lookup;             /* draft what came after the longest recent match of the last tokens */
    cllm_sequence *draft_sequence; /* draft with this empty sequence of another engine, whose model has the same
                                         vocabulary; or NULL */
} cllm_generation_options;

/* prompt: [count] the whole text from position 0, copied; what the sequence holds must be its beginning, and not all of it.
 * The sequence stays the caller's, must outlive the generation, and may be truncated, or emptied and reused, between a take and the next
 * wants. options: may be NULL. out: owned.
 * With drafts the text is the same as without, at any temperature: they are evaluated together, and kept as far as the sampler
 * would have drawn them. Drafting rests while it does not pay. Where a grammar leaves no choice of bytes those are drafted too, on a GPU if the
 * engine is exact.
 * Errors: ARGUMENT (also: vocabularies that differ, drafts on a GPU without `exact`, a grammar beside fill_mask), CONTEXT_FULL, MEMORY. A prompt that fills the
 * context has ended already: CLLM_END_CONTEXT_FULL. */
CLLM_API cllm_status cllm_generation_create(cllm_sequence *sequence, const int32_t *prompt, size_t count,
                                            const cllm_generation_options *options, cllm_generation **out,
                                            cllm_error *err);
CLLM_API void cllm_generation_destroy(cllm_generation *generation);

/* What is to be evaluated next: the tokens beyond the sequence's length, at most `most` (1 or more). Returns false when the generation
 * has ended. span: out, for cllm_eval; its tokens are valid until cllm_generation_take. With a draft_sequence this evaluates the small
 * model, whose engine has a `progress` of its own; if that fails, or is cancelled, it drafts no more. */
CLLM_API bool cllm_generation_wants(cllm_generation *generation, size_t most, cllm_span *span);

/* Why it has ended, or CLLM_END_NONE. */
CLLM_API cllm_end cllm_generation_end(const cllm_generation *generation);

/* Compute the masks that taking will need. May run in another thread beside cllm_eval; else taking does it. */
CLLM_API void cllm_generation_prepare(cllm_generation *generation);

/* Take what cllm_eval made of the span. A span that was cancelled ends the generation. At the end the sequence holds all but the
 * last token drawn. event: out; what comes out of a prompt's first pieces is empty.
 * Errors: the span's status, or ARGUMENT if it was not evaluated (another span of the call was refused): it can be wanted anew; those
 * of cllm_sequence_diagnose, if a logit is not a finite number; ARGUMENT (a mask that allows no token); MEMORY. */
CLLM_API cllm_status cllm_generation_take(cllm_generation *generation, const cllm_span *span, cllm_event *event,
                                          cllm_error *err);

#ifdef __cplusplus
}
#endif
#endif
