/* mini-cllm: run large language models from GGUF files.
 *
 * This is the only public header. It follows the data:
 *
 *   GGUF file -> model -> tokenizer: text to ids -> engine and sequence: ids to logits -> sampler: logits to an id
 *   -> tokenizer: id to text
 *
 * For one request, a generation says what to evaluate (the caller calls cllm_eval), draws the tokens and makes the
 * text.
 *
 * Rules for every function:
 *   - A function that can fail returns a cllm_status, CLLM_OK on success. If it fails, the details are in `*err`; err
 *     may be NULL.
 *   - No function prints, exits, installs a signal handler, or keeps global state that changes. The library's threads
 *     block all signals except SIGSEGV and the like, so that the caller's threads get them.
 *   - Pointers are borrowed unless the comment says "owned". NULL is allowed only where the comment says so.
 *   - A pointer that a function returns is valid until the object that it came from is destroyed or closed, unless the
 *     comment says otherwise.
 *   - [n] is the number of elements that a pointer points to, and [m][n] a matrix of m rows. "out" marks what the
 *     function writes.
 *   - A destroy or close function accepts NULL.
 *   - A NULL options pointer asks for the defaults, and so does a zero-initialised options struct.
 *   - Files, models and tokenizers never change once they are made, so threads may share them. An engine with its
 *     sequences, or a sampler, belongs to one thread at a time.
 *   - "Errors" lists the statuses that a function can return, without their prefix CLLM_ERR_.
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

/* The version of the linked library. It may differ from the header's CLLM_VERSION. */
CLLM_API const char *cllm_version(void);

/* ---------------------------------------------------------------------------------------------- errors */

typedef enum cllm_status {
    CLLM_OK = 0,
    CLLM_ERR_ARGUMENT,     /* an argument is out of range */
    CLLM_ERR_IO,           /* the system could not open, map, read or write a file */
    CLLM_ERR_FORMAT,       /* a file's bytes contradict themselves or the format */
    CLLM_ERR_UNSUPPORTED,  /* the input is valid, but asks for something that this library does not do */
    CLLM_ERR_MEMORY,       /* it does not fit in memory, or exceeds the limits that an engine was created with */
    CLLM_ERR_CONTEXT_FULL, /* more tokens than the context of a sequence holds */
    CLLM_ERR_CANCELLED,    /* a callback asked to stop */
    CLLM_ERR_DEVICE,       /* there is no such GPU, it cannot do what is asked, or it failed */
} cllm_status;

#define CLLM_NO_OFFSET UINT64_MAX

/* What went wrong. It means something only if the function failed. */
typedef struct cllm_error {
    cllm_status status;
    uint64_t offset;   /* byte offset in the file, or CLLM_NO_OFFSET */
    char name[128];    /* the metadata key or tensor at fault, or "" */
    char message[512]; /* one line, terminated, without a newline: what is wrong, where, and what to do */
} cllm_error;

/* Find out if a character is safe to print on a terminal. Returns the length, 1 to 4 bytes, of the first character of
 * `bytes`, [length]. Returns 0 if there is none, it is not valid UTF-8, or it is a control character (C0, DEL or C1), a
 * line or paragraph separator, or a character that changes the direction of text (bidirectional marks, overrides,
 * isolates). Check names, metadata and generated texts. Error messages need no check: '?' replaces such characters in
 * them. */
CLLM_API size_t cllm_safe_length(const char *bytes, size_t length);

/* ------------------------------------------------------------------------------------------- GGUF files */

typedef struct cllm_gguf cllm_gguf;

/* A function of the caller. During long work the library calls it now and then, in the thread that called the library.
 * done, total: bytes of a file or of weights, or tokens times layers of a cllm_eval. Return false to stop the work,
 * which then fails with CLLM_ERR_CANCELLED. */
typedef bool (*cllm_progress)(void *user, uint64_t done, uint64_t total);

typedef struct cllm_load_options {
    /* Read the file into memory, instead of mapping it. A file that the system cannot map is read in any case: see
     * cllm_gguf_note. */
    bool no_mmap;
    /* For cllm_model_load: copy quantized matrices into memory, in an order that takes the CPU's kernels less
     * work to unpack. The results are the same bits. */
    bool repack;
    cllm_progress progress;                /* or NULL */
    void *user;                            /* passed to `progress` */
    const struct cllm_metadata *overrides; /* [n_overrides] metadata that replace the file's, see below; or NULL */
    size_t n_overrides;
    const struct cllm_lora *loras; /* [n_loras] for cllm_model_load: adapters to apply; or NULL */
    size_t n_loras;
} cllm_load_options;

/* Open a GGUF file (version 2 or 3, little-endian), and check its metadata and the extent of every tensor.
 * If it is the first part of a split model, named ...-00001-of-0000N.gguf, the other N - 1 parts are opened too. A file
 * without split.count in its metadata is a whole model, whatever its name. options: may be NULL.
 * A mapped file must not shrink while it is open: reading past its new end raises SIGBUS.
 * out: owned; release with cllm_gguf_close. Errors: IO, FORMAT, UNSUPPORTED, MEMORY, CANCELLED, and ARGUMENT for an
 * override that is refused.
 *
 * options->overrides: each replaces the file's value of its key before anything reads it, or adds a key that the file
 * does not have. Any integer replaces an integer of any type that can hold it, a float a float, a bool a bool, a string
 * a string; the type stays that of the file. A key that begins with "." gets the name of the architecture in front of
 * it: ".rope.freq_base" is "llama.rope.freq_base" if general.architecture (perhaps itself overridden) is llama. Keys
 * and values are copied. Refused: arrays; a key that is given twice; general.alignment and split.*, which say where the
 * tensors' data are. */
CLLM_API cllm_status cllm_gguf_open(const char *path, const cllm_load_options *options, cllm_gguf **out,
                                    cllm_error *err);
CLLM_API void cllm_gguf_close(cllm_gguf *gguf);

CLLM_API uint32_t cllm_gguf_version(const cllm_gguf *gguf);
CLLM_API uint32_t cllm_gguf_alignment(const cllm_gguf *gguf); /* bytes, of tensor data */
CLLM_API uint32_t cllm_gguf_n_files(const cllm_gguf *gguf);   /* 1, or the parts of a split model */
CLLM_API uint64_t cllm_gguf_n_bytes(const cllm_gguf *gguf);   /* the size of all files together */

/* One line for the user about how the files were opened, or "". It says if the system could not map a file, which was
 * then read into memory as with no_mmap. */
CLLM_API const char *cllm_gguf_note(const cllm_gguf *gguf);

/* The path of the mapped file that holds `address`, or NULL. Async-signal-safe: for a SIGBUS handler. */
CLLM_API const char *cllm_gguf_path_of(const cllm_gguf *gguf, const void *address);

/* Types of metadata values, with the numbers of the GGUF specification. */
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

/* A view of an array whose elements are still in the file; read them with cllm_array_next. */
typedef struct cllm_array {
    cllm_value_type element_type;
    uint64_t count;
    const unsigned char *bytes;
    const unsigned char *end; /* end of the file's bytes */
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
CLLM_API bool cllm_gguf_is_overridden(const cllm_gguf *gguf, size_t index); /* did an override set the value? */

/* True if key number `index` was read. In the file of a model (cllm_model_gguf), the model and its tokenizer count as
 * readers; in a file that you opened yourself, only the two functions below. cllm_tokenizer_create and cllm_plan_memory
 * do not count. */
CLLM_API bool cllm_gguf_is_read(const cllm_gguf *gguf, size_t index);

/* Read the metadata as cllm_model_load and cllm_tokenizer_create do, but create nothing. Then cllm_gguf_is_read says
 * which keys they use. These functions change the file: no other thread may use it at the same time. Errors: those of
 * cllm_model_load about metadata, and those of cllm_tokenizer_create; keys after the faulty one do not count as
 * read. */
CLLM_API cllm_status cllm_gguf_read_model_keys(cllm_gguf *gguf, cllm_error *err);
CLLM_API cllm_status cllm_gguf_read_tokenizer_keys(cllm_gguf *gguf, cllm_error *err);

/* Read the first element of the view `rest` and remove it from the view. Returns false if the view is empty. */
CLLM_API bool cllm_array_next(cllm_array *rest, cllm_value *element);

CLLM_API const char *cllm_value_type_name(cllm_value_type type); /* "uint32", "array", ... */

typedef struct cllm_tensor {
    const char *name;
    int32_t type;      /* ggml's number of the tensor type; see cllm_tensor_type_name */
    uint32_t n_dims;   /* 1..4 */
    uint64_t shape[4]; /* elements, innermost (row length) first; 1 beyond n_dims */
    uint32_t file;     /* the part of a split model that holds it, from 0 */
    uint64_t offset;   /* bytes from the start of that file */
    uint64_t n_bytes;
    const void *data; /* [shape[3]][shape[2]][shape[1]] rows of shape[0] elements, in blocks of the type */
} cllm_tensor;

CLLM_API size_t cllm_gguf_n_tensors(const cllm_gguf *gguf);
CLLM_API const cllm_tensor *cllm_gguf_tensor(const cllm_gguf *gguf, size_t index);          /* index < n_tensors */
CLLM_API const cllm_tensor *cllm_gguf_find_tensor(const cllm_gguf *gguf, const char *name); /* NULL if absent */
CLLM_API const char *cllm_tensor_type_name(int32_t type);                                   /* "Q4_0", ...; "unknown" */

/* ------------------------------------------------------------------------------------------------- chats */

/* How to talk to a model: its chat template, the special tokens that the template spells, and the format of its
 * answers. It never changes, so threads may share it. Templates are in the language of Jinja 3.1, as Hugging Face's
 * transformers sets it up. */
typedef struct cllm_chat cllm_chat;
typedef struct cllm_tokenizer cllm_tokenizer;

typedef struct cllm_chat_options {
    const cllm_gguf *gguf; /* use the template in this model's file; or NULL */
    /* The model's tokenizer, which sets the template's variables bos_token, eos_token and the like. NULL: only the
     * objects that cllm_chat_render gets can set them. */
    const cllm_tokenizer *tokenizer;
    /* NULL: the file's tokenizer.chat_template. Else the name of another template: the file's
     * tokenizer.chat_template.NAME, such as tool_use, or a family's, such as chatml. */
    const char *name;
    cllm_string source; /* the template itself, UTF-8, which replaces the file's; or {0} */
} cllm_chat_options;

/* A file without a template gets the one of the family whose special tokens are in its vocabulary: see cllm_chat_note.
 * All that is needed is copied, so the file and the tokenizer may be closed afterwards. out: owned. Errors: ARGUMENT
 * (no template has this name), UNSUPPORTED (there is no template); about the template, with line and column: FORMAT
 * (its syntax), UNSUPPORTED (it asks for other files, or is nested more than 200 deep); MEMORY. */
CLLM_API cllm_status cllm_chat_create(const cllm_chat_options *options, cllm_chat **out, cllm_error *err);
CLLM_API void cllm_chat_destroy(cllm_chat *chat);

/* One line for the user about the template, or "". It says if the template is not the file's own. */
CLLM_API const char *cllm_chat_note(const cllm_chat *chat);

/* The source of the template. Valid as long as the chat. */
CLLM_API cllm_string cllm_chat_source(const cllm_chat *chat);

/* What ends the reasoning in an answer, such as "</think>" and the newlines after it. Empty: answers have no
 * reasoning. */
CLLM_API cllm_string cllm_chat_reasoning_end(const cllm_chat *chat);

/* What may come before the content of an answer: reasoning between two marks. */
typedef struct cllm_preamble {
    cllm_string opens;  /* the mark before the reasoning; "": no mark, so only the prompt can open it */
    cllm_string closes; /* the mark after it; "": answers have no reasoning */
    bool is_open;       /* the prompt has opened the reasoning already */
} cllm_preamble;

/* A piece of a text. Text that the template spells is trusted and may become special tokens. Text from the template's
 * variables is not trusted, wherever the template puts it. */
typedef struct cllm_part {
    bool trusted;
    cllm_string text;
} cllm_part;

enum {
    CLLM_RENDER_AS_IS = 1,        /* pass messages to the template unchanged, even if it may refuse them */
    CLLM_RENDER_NO_REASONING = 2, /* set the variable that asks this template for answers without reasoning */
};

/* Render a conversation with the template.
 * objects: [n_objects] JSON objects. Their members are the variables of the template: messages, tools,
 * add_generation_prompt and whatever else it reads. If a name occurs twice, the last one counts. The variables
 * bos_token, eos_token, unk_token, sep_token, pad_token, cls_token and mask_token are trusted, because they come from
 * the vocabulary: do not let anyone else set them.
 * If the variable continue_final_message is true, the text ends with the content of the last message, so that the model
 * continues it.
 * flags: of the enum above. Messages are brought into the form that the template expects: content as text or as parts,
 * arguments as an object or as JSON text. If the template refuses the messages, these changes are tried one after the
 * other: all system messages become one at the start; call ids become nine letters and digits; messages of the same
 * role that follow each other become one; content that is null becomes an empty text; the system message joins the
 * first user message.
 * now: seconds since 1970, for strftime_now, which prints local time.
 * parts: out, [*n_parts], owned; release with cllm_free. Trusted parts and others alternate.
 * Errors, with line and column: FORMAT and UNSUPPORTED (invalid JSON, or nested too deep), ARGUMENT (the template
 * refuses the variables, or uses them in a way that fails), UNSUPPORTED (content that is not text; the template takes
 * more than 20 million steps or 256 MiB, or calls itself too deep), MEMORY. */
CLLM_API cllm_status cllm_chat_render(const cllm_chat *chat, const cllm_string *objects, size_t n_objects, int flags,
                                      int64_t now, cllm_part **parts, size_t *n_parts, cllm_error *err);

/* What may come before the content of the answer to this prompt. prompt: [n_parts]. Valid as long as the chat. */
CLLM_API cllm_preamble cllm_chat_preamble(const cllm_chat *chat, const cllm_part *prompt, size_t n_parts);

/* Reads an answer while the model writes it, and splits it into reasoning, content and tool calls. */
typedef struct cllm_answer cllm_answer;

typedef enum cllm_delta_kind {
    CLLM_DELTA_REASONING, /* more of the reasoning */
    CLLM_DELTA_CONTENT,   /* more of the text for the user */
    CLLM_DELTA_CALL,      /* a tool call begins */
    CLLM_DELTA_ARGUMENTS, /* more of its arguments, the text of a JSON object */
} cllm_delta_kind;

typedef struct cllm_delta {
    cllm_delta_kind kind;
    size_t call;      /* for CALL and ARGUMENTS: number of the call, from 0 */
    cllm_string id;   /* for CALL: the id that the model gave it, or "" */
    cllm_string text; /* the new text; for CALL: the function's name */
} cllm_delta;

/* Create a reader of an answer. The chat must outlive it. prompt: [n_parts] the text before the answer, which may have
 * opened the reasoning; NULL: a prompt that the template renders from one user message is assumed. tools: JSON, the
 * list of tools in OpenAI's form, which says what types arguments have. Only tools in the list can be called: none if
 * the list is empty. If `tools` is an empty text or null, any name can be called. out: owned. Errors: FORMAT (tools is
 * not valid JSON, or not a list), UNSUPPORTED (it is nested too deep), MEMORY. */
CLLM_API cllm_status cllm_answer_create(const cllm_chat *chat, const cllm_part *prompt, size_t n_parts,
                                        cllm_string tools, cllm_answer **out, cllm_error *err);
CLLM_API void cllm_answer_destroy(cllm_answer *answer);

/* Take the next piece of the answer: any bytes, with special tokens spelled out. ended: this is the last piece.
 * deltas: out, [*n_deltas] what is certain now, valid until the next call. The deltas add up to the same result,
 * however the text is cut into pieces. Any text is allowed: what cannot be read as a call is content. Errors:
 * MEMORY. */
CLLM_API cllm_status cllm_answer_take(cllm_answer *answer, cllm_string text, bool ended, const cllm_delta **deltas,
                                      size_t *n_deltas, cllm_error *err);

/* True if the model has written what ends its turn. Everything after that is ignored. */
CLLM_API bool cllm_answer_has_ended(const cllm_answer *answer);

/* Which tool calls an answer must or may contain. */
typedef struct cllm_call_options {
    /* JSON, the list of tools in OpenAI's form. The arguments of tools with "strict": true must follow their schema; a
     * schema that cannot be enforced is an error. The arguments of other tools follow their schema as far as it can be
     * enforced; where it cannot, any arguments are allowed. */
    cllm_string tools;
    cllm_string name; /* only this tool may be called, and it must be; or "" */
    bool must_call;   /* the answer must be a call; else it may have content first, or no call */
    bool one_call;    /* at most one call */
} cllm_call_options;

/* Make the structure of answers that call tools in this chat's format, for CLLM_GRAMMAR_STRUCTURE. Generate with
 * spell_control, because cllm_answer_take needs special tokens spelled out. prompt: [n_parts] the text before the
 * answer, or NULL, as for cllm_answer_create. structure: out, owned, terminated; release with cllm_free. preamble: out,
 * the reasoning that may come first, for cllm_generation_options. Valid as long as the chat.
 * Some formats do not write the arguments as one JSON object, but one by one. Then they come in the order of the
 * schema, and a string that is written between two marks, without quotes, cannot contain the mark that ends it.
 * Errors: FORMAT and UNSUPPORTED (as for cllm_answer_create), ARGUMENT (there is no tool, or none of this name; a name
 * that the format cannot spell), UNSUPPORTED (a strict tool whose schema this format cannot follow, or schemas that are
 * too large), MEMORY.
 * cllm_grammar_create refuses the schema of a strict tool that it cannot enforce, and names the tool. */
CLLM_API cllm_status cllm_chat_call_structure(const cllm_chat *chat, const cllm_call_options *options,
                                              const cllm_part *prompt, size_t n_parts, char **structure,
                                              cllm_preamble *preamble, cllm_error *err);

/* -------------------------------------------------------------------------------------------- tokenizer */

/* Make the tokenizer that a file's tokenizer.ggml.* keys describe; the file needs no tensors. The tokenizer keeps
 * pointers into `gguf`, which must outlive it. For byte-level BPE, tokenizer.ggml.pre names the rule that cuts text
 * into words; an override (cllm_load_options) can choose another. out: owned. Errors: FORMAT, UNSUPPORTED, MEMORY. */
CLLM_API cllm_status cllm_tokenizer_create(const cllm_gguf *gguf, cllm_tokenizer **out, cllm_error *err);
CLLM_API void cllm_tokenizer_destroy(cllm_tokenizer *tokenizer);

CLLM_API uint32_t cllm_tokenizer_n_vocab(const cllm_tokenizer *tokenizer);
CLLM_API int32_t cllm_tokenizer_bos(const cllm_tokenizer *tokenizer);   /* -1 if the vocabulary has none */
CLLM_API int32_t cllm_tokenizer_eos(const cllm_tokenizer *tokenizer);   /* -1 if the vocabulary has none */
CLLM_API bool cllm_tokenizer_adds_bos(const cllm_tokenizer *tokenizer); /* does the model want BOS first? */
CLLM_API bool cllm_tokenizer_adds_eos(const cllm_tokenizer *tokenizer); /* does the model want EOS last? */

/* One line for the user about the vocabulary, or "". It says if the file does not name the rule that cuts text into
 * words. */
CLLM_API const char *cllm_tokenizer_note(const cllm_tokenizer *tokenizer);

enum {
    CLLM_ENCODE_ADD_SPECIAL = 1,   /* add BOS and EOS if the model wants them */
    CLLM_ENCODE_PARSE_SPECIAL = 2, /* find control tokens in the text (user-defined tokens are always found) */
    CLLM_ENCODE_GOES_ON = 4,       /* the text continues another one: do not put a space in front of it */
};

/* Turn text into ids. text: [length] bytes of any value; those that are not valid UTF-8 are encoded one by one. For
 * models that want Unicode's NFC, a letter and the marks after it are encoded as one composed character where there is
 * one. flags: of the enum above. tokens: out, owned, [*count]; release with cllm_free; never NULL on success.
 * Takes O(length log length) time. Errors: ARGUMENT (text over 1 GiB), MEMORY, UNSUPPORTED (a character that the
 * vocabulary cannot express). */
CLLM_API cllm_status cllm_tokenizer_encode(const cllm_tokenizer *tokenizer, const char *text, size_t length, int flags,
                                           int32_t **tokens, size_t *count, cllm_error *err);

/* Release memory that the library allocated, where a comment says so. NULL is allowed. */
CLLM_API void cllm_free(void *memory);

/* Turn a text in parts, as cllm_chat_render gives them, into ids. The parts are joined before the text is cut into
 * words. A special token is found only where its whole spelling is trusted; but a user-defined token without brackets
 * or bars in its spelling, such as a run of spaces, is found everywhere.
 * flags: ADD_SPECIAL puts BOS first if the model wants it and the text does not begin with it; GOES_ON.
 * tokens, errors: as for cllm_tokenizer_encode. */
CLLM_API cllm_status cllm_tokenizer_encode_parts(const cllm_tokenizer *tokenizer, const cllm_part *parts,
                                                 size_t n_parts, int flags, int32_t **tokens, size_t *count,
                                                 cllm_error *err);

/* Join a query and a document, and turn them into ids, for a model that ranks documents. The file's template for this
 * (tokenizer.chat_template.rerank) joins them. If there is none, the vocabulary's special tokens stand around the texts
 * and between them. Both texts are untrusted: no control token is found in them. tokens, errors: as for
 * cllm_tokenizer_encode; also UNSUPPORTED (the template has too many parts). */
CLLM_API cllm_status cllm_tokenizer_encode_pair(const cllm_tokenizer *tokenizer, cllm_string query,
                                                cllm_string document, int32_t **tokens, size_t *count, cllm_error *err);

/* The spelling of a token in the file. id: 0..n_vocab-1, else an empty string. */
CLLM_API cllm_string cllm_tokenizer_piece(const cllm_tokenizer *tokenizer, int32_t id);

/* True for control and unknown tokens: they control the model and are not part of the text. */
CLLM_API bool cllm_tokenizer_is_control(const cllm_tokenizer *tokenizer, int32_t id);

/* True if generation ends at this token: EOS, and tokens that end a turn or a message ("end of generation").
 * id: 0..n_vocab-1, else false. */
CLLM_API bool cllm_tokenizer_is_eog(const cllm_tokenizer *tokenizer, int32_t id);

/* The bytes that token `id` adds to the text after the token `previous` (-1: at the start). The space that encoding
 * puts in front of a text is left out. Control tokens give their spelling; the caller decides whether to show them. A
 * token may be only a part of a UTF-8 character. id: 0..n_vocab-1, else an empty string. */
CLLM_API cllm_string cllm_tokenizer_decode(const cllm_tokenizer *tokenizer, int32_t previous, int32_t id);

/* The ids of a conversation that grows. The model generates text, and each turn renders the whole conversation again.
 * Text that is still the same keeps its ids, so that a turn evaluates only what is new. */
typedef struct cllm_transcript cllm_transcript;

/* Create an empty one. tokenizer: must outlive it. out: owned. Errors: MEMORY. */
CLLM_API cllm_status cllm_transcript_create(const cllm_tokenizer *tokenizer, cllm_transcript **out, cllm_error *err);
CLLM_API void cllm_transcript_destroy(cllm_transcript *transcript);

CLLM_API const int32_t *cllm_transcript_tokens(const cllm_transcript *transcript); /* [n_tokens], until it changes */
CLLM_API size_t cllm_transcript_n_tokens(const cllm_transcript *transcript);

/* Set the text: parts, [n_parts]. As far as it begins like the previous text, the ids stay; the rest is encoded. Text
 * that was encoded in one call is kept as a whole or not at all. Generated text is kept up to the first difference if
 * the new text has a special token there; otherwise none of it is kept. BOS comes first if the model wants it. Next,
 * give the tokens to cllm_sequence_reuse. After an error the old text is left, or a beginning of it.
 * Errors: those of cllm_tokenizer_encode_parts. */
CLLM_API cllm_status cllm_transcript_set(cllm_transcript *transcript, const cllm_part *parts, size_t n_parts,
                                         cllm_error *err);

/* Append tokens that the model generated. Do not append an end token: the next text has it. tokens: [count] ids of the
 * vocabulary. Errors: MEMORY; then some of them may have been appended. */
CLLM_API cllm_status cllm_transcript_append(cllm_transcript *transcript, const int32_t *tokens, size_t count,
                                            cllm_error *err);

/* ------------------------------------------------------------------------------------------------ model */

typedef struct cllm_model cllm_model;

/* How to make an embedding (CLLM_WANT_EMBEDDING) of the tokens of a span. The model computes a row for each token;
 * pooling turns these rows into one vector. */
typedef enum cllm_pooling {
    CLLM_POOLING_MODEL = 0, /* what the file's <architecture>.pooling_type says; the last row if it says nothing */
    CLLM_POOLING_NONE = 1,  /* no pooling: one vector for each row */
    CLLM_POOLING_MEAN = 2,  /* the mean of all rows of the span */
    CLLM_POOLING_CLS = 3,   /* the first row */
    CLLM_POOLING_LAST = 4,  /* the last row */
    CLLM_POOLING_RANK = 5,  /* the classifier's scores of one row, pooled as in its training; never normalized */
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
    uint32_t n_ctx_train;  /* the context the model was trained for */
    uint32_t n_embd_out;   /* floats of an embedding: n_embd, or the width after dense layers that follow the pooling */
    uint32_t n_scores;     /* floats with CLLM_POOLING_RANK; 0: the model has no classifier */
    cllm_pooling pooling;  /* what CLLM_POOLING_MODEL stands for */
    bool is_encoder;       /* each token sees the tokens after it too: the model can only embed, not generate text */
    uint64_t n_parameters; /* elements of all tensors, except those of an image model, or of layers that only draft */
    uint64_t bytes_per_token; /* bytes of weights that are read to generate one token */
    const char *note;         /* one line about what is in the file but not used, or "" */
} cllm_model_info;

/* A LoRA adapter: a GGUF file as llama.cpp's convert_lora_to_gguf.py writes it. It changes a model of the same
 * architecture and shape. For each pair A and B of a matrix W the model computes with W + scale * alpha / rank * B A
 * (alpha is the file's; if it is 0, with W + scale * B A). */
typedef struct cllm_lora {
    const char *path;
    float scale; /* finite; 1 is the trained strength, 0 leaves the model unchanged */
} cllm_lora;

/* Open a GGUF file and find its weights, which stay in the mapped file. So do the weights of options->loras; several
 * adapters add up. options: may be NULL.
 * out: owned. Errors: those of cllm_gguf_open; FORMAT and UNSUPPORTED also about the model's metadata and tensors (one
 * is missing or has a wrong shape, an architecture or a type is not supported); FORMAT and MEMORY about the tokenizer;
 * ARGUMENT also for repack of a file that is not mapped, or a LoRA scale that is not finite. */
CLLM_API cllm_status cllm_model_load(const char *path, const cllm_load_options *options, cllm_model **out,
                                     cllm_error *err);
CLLM_API void cllm_model_destroy(cllm_model *model);

CLLM_API const cllm_model_info *cllm_model_get_info(const cllm_model *model);
CLLM_API const cllm_gguf *cllm_model_gguf(const cllm_model *model);
/* cllm_gguf_path_of for all files of the model and its adapters. Async-signal-safe. */
CLLM_API const char *cllm_model_path_of(const cllm_model *model, const void *address);
/* cllm_gguf_note of the model's file, or of the first adapter that has one. */
CLLM_API const char *cllm_model_file_note(const cllm_model *model);
/* NULL if the file has no tokenizer or an unsupported one; cllm_tokenizer_create then says why. The model can still run
 * on token ids. */
CLLM_API const cllm_tokenizer *cllm_model_tokenizer(const cllm_model *model);

/* ----------------------------------------------------------------------------------------------- engine */

/* What computes: threads, a device with weights on it, work space, and the pages of keys and values of all
 * sequences. */
typedef struct cllm_engine cllm_engine;

typedef enum cllm_kv_type {
    CLLM_KV_F16 = 0, /* float16, the default */
    CLLM_KV_F32 = 1,
    CLLM_KV_Q8_0 = 2, /* int8, in blocks of 32 that share a scale */
} cllm_kv_type;

#define CLLM_GPU_LAYERS_ALL UINT32_MAX

/* The values of cllm_engine_options.device, separated by ", ": "cpu", "auto", and the GPU APIs in the order in which
 * "auto" tries them. Metal is in the list of every build, but works only on macOS. */
CLLM_API const char *cllm_device_names(void);

typedef struct cllm_engine_options {
    /* Most positions of one sequence, at most 2^31 - 1. 0: the model's own context, or n_positions if that is less; if
     * n_positions is 0 too, as much of the model's context as fits in memory. A LongRoPE model has two lists of factors
     * for its rotations. The default is its original context, with the short list; if you ask for more, the long list
     * is used. */
    uint32_t n_ctx;
    uint32_t n_batch;     /* most tokens in one forward pass; 0: 512; at most 65536, on a GPU at most 2048 are used */
    uint32_t n_threads;   /* at most 1024; 0: the number of cores that this process may use */
    cllm_kv_type kv_type; /* how keys and values are stored */
    const char *cpu_isa;  /* "scalar", "avx2" and so on; NULL: the best that this CPU has */
    /* NULL or "cpu": the CPU. "metal", "cuda", "opencl": the GPU of that API (with OpenCL any device), or an error.
     * "auto": the first GPU found, or the CPU if that GPU cannot run the model (see cllm_engine_device_note). See
     * cllm_device_names. */
    const char *device;
    /* How many of the model's last layers run on the GPU; the output runs with them. 0: as many as fit.
     * CLLM_GPU_LAYERS_ALL: all. It is an error if a given number does not fit, except with "auto", which takes fewer.
     * Keys and values on a GPU are F16 or F32. */
    uint32_t gpu_layers;
    /* On a GPU: the same bits in any batch, as on the CPU. The fast kernels for long batches are not used then. */
    bool exact;
    /* Or NULL. Called several times for each layer on the CPU, and once before each layer on a GPU. It is also called
     * while weights move to a GPU; done and total are bytes then. */
    cllm_progress progress;
    void *user;           /* passed to `progress` */
    uint32_t n_positions; /* of all sequences together, in pages of 256; at most 2^31 - 1; 0: n_ctx */
    uint32_t n_sequences; /* most sequences at a time; 0: 1; at most 4096 */
    /* Which device of the API, from 0. OpenCL counts over all its platforms, GPUs first. With "auto", the first API
     * that has a GPU of this number is used. */
    uint32_t device_index;
    /* Most bytes that the prefix cache keeps in addition to what sequences hold; 0: no cache. They are for pages of
     * keys and values. For a model with recurrent layers, about half of them are for states, which all have one size;
     * if there is no room for one state and its pages, there is no cache. */
    uint64_t cache_bytes;
    cllm_pooling pooling; /* for CLLM_WANT_EMBEDDING */
    bool raw_embeddings;  /* do not scale embeddings to length 1 */
} cllm_engine_options;

/* All in bytes except n_ctx and n_gpu_layers. The weights are pages of the mapped file, which the system may drop and
 * read again, unless the model was read or repacked into memory. */
typedef struct cllm_memory_plan {
    uint64_t weights;
    uint64_t kv_cache;  /* pages of keys and values, including those of the prefix cache */
    uint64_t states;    /* of recurrent layers: three a sequence, and those of the prefix cache; 0: no such layers */
    uint64_t scratch;   /* buffers of a forward pass, such as activations and logits, and tables */
    uint64_t available; /* what this process may still allocate, or 0 if unknown */
    uint32_t n_ctx;     /* the planned context */
    bool n_ctx_capped;  /* n_ctx was 0, and the model's own context does not fit */

    /* Memory of the GPU. */
    uint32_t n_gpu_layers; /* layers that run on a GPU; if 0, the fields below are 0 too */
    uint64_t gpu_weights;  /* or, if the GPU reads weights in the mapped file, the bytes that it reads there */
    uint64_t gpu_kv_cache;
    uint64_t gpu_scratch;
    uint64_t gpu_available; /* or 0 if unknown */
} cllm_memory_plan;

/* Compute what an engine with these options would need on the CPU; `device` is ignored. Works for every architecture
 * whose file has the usual keys (<architecture>.block_count, .embedding_length, .attention.head_count ...). options:
 * may be NULL. plan: out. Errors: ARGUMENT (an option), FORMAT or UNSUPPORTED (keys are missing), MEMORY (it does not
 * fit; *plan is filled). */
CLLM_API cllm_status cllm_plan_memory(const cllm_gguf *gguf, const cllm_engine_options *options, cllm_memory_plan *plan,
                                      cllm_error *err);

/* Create an engine. The model must outlive it. Weights are copied to a GPU, unless the GPU reads them in place (Metal,
 * and OpenCL with shared memory). Destroying an engine also ends its sequences, whose pointers are then invalid. Calls
 * on an engine, its sequences and its generations come from one thread at a time. options: may be NULL. out: owned.
 * Errors: ARGUMENT (an option is out of range, or the model cannot do it); MEMORY; DEVICE: the named GPU does not
 * exist, cannot run the model, or has no room for the layers; CANCELLED: by `progress`, while weights moved to a
 * GPU. */
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
/* One line that says why "auto" chose the CPU: there is no GPU, or the one found cannot run the model. Else "". */
CLLM_API const char *cllm_engine_device_note(const cllm_engine *engine);

/* Replace the progress callback from the next call on. progress: may be NULL. */
CLLM_API void cllm_engine_set_progress(cllm_engine *engine, cllm_progress progress, void *user);

typedef struct cllm_stats {
    uint64_t tokens_evaluated; /* rows of all forward passes, including tokens that recurrent layers read again */
    uint64_t cache_hits;       /* calls of cllm_sequence_reuse that took tokens from the prefix cache */
    uint64_t tokens_reused;    /* tokens that these calls took, in all */
    uint64_t evictions;        /* pages that the prefix cache dropped */
    uint32_t pages_held;       /* pages that sequences hold now; a shared page counts once */
    uint32_t pages_cached;     /* pages that only the prefix cache holds now */
    uint64_t gpu_launches;     /* kernels launched on a GPU; 0 on the CPU */
    uint64_t gpu_bytes;        /* bytes of weights, keys, values and activations that these kernels read and wrote */
} cllm_stats;
CLLM_API cllm_stats cllm_engine_stats(const cllm_engine *engine);

/* -------------------------------------------------------------------------------------------- sequences */

/* Tokens that an engine has evaluated, with their keys and values. */
typedef struct cllm_sequence cllm_sequence;

/* Create an empty sequence. All sequences of an engine share its n_positions. out: owned; destroy it before the engine.
 * Errors: MEMORY (the engine has n_sequences already). */
CLLM_API cllm_status cllm_sequence_create(cllm_engine *engine, cllm_sequence **out, cllm_error *err);
CLLM_API void cllm_sequence_destroy(cllm_sequence *sequence);

CLLM_API uint32_t cllm_sequence_length(const cllm_sequence *sequence);       /* tokens evaluated so far */
CLLM_API const int32_t *cllm_sequence_tokens(const cllm_sequence *sequence); /* [length], until it changes */

/* Create a sequence that begins with the first `length` tokens of this one. The two share pages; a page that is not
 * full is copied when either writes to it. out: owned.
 * Errors: ARGUMENT (length is more than the sequence's), MEMORY, and UNSUPPORTED as for cllm_sequence_truncate. */
CLLM_API cllm_status cllm_sequence_fork(const cllm_sequence *sequence, uint32_t length, cllm_sequence **out,
                                        cllm_error *err);

/* Drop all tokens from position `length` on. Dropping up to n_batch tokens of the last cllm_eval always works if that
 * returned OK, and so does length 0.
 * Errors, with nothing changed: ARGUMENT (length is more than the sequence's); UNSUPPORTED (the model has sliding
 * windows, and keys that the next token needs are no longer held; or it has recurrent layers, and no state that is old
 * enough is held). */
CLLM_API cllm_status cllm_sequence_truncate(cllm_sequence *sequence, uint32_t length, cllm_error *err);

/* Make a sequence begin with as many of the first tokens of `tokens`, [count], as were evaluated before. The sequence
 * keeps its own tokens as far as they are the same, and drops the rest. If the prefix cache has more of the tokens, the
 * sequence takes them from there. The last token is never reused, so that there is one to evaluate. count 0 empties the
 * sequence.
 * What an engine evaluates can be found in its cache immediately. It stays there after its sequence is destroyed, while
 * there is room. With recurrent layers, a sequence can only continue from a position whose state is held, so it may
 * get fewer tokens: a sequence holds a few states, and the cache has some of each prompt. Returns the sequence's new
 * length. */
CLLM_API size_t cllm_sequence_reuse(cllm_sequence *sequence, const int32_t *tokens, size_t count);

/* Save the tokens, keys and values of a sequence, so that it can continue later without evaluating them again. The file
 * is written as path.partial and then renamed: at any time `path` is the whole old file or the whole new one. The file
 * contains the text.
 * Errors: IO, MEMORY, DEVICE. */
CLLM_API cllm_status cllm_sequence_save(const cllm_sequence *sequence, const char *path, cllm_error *err);

/* Create a sequence from a saved file. This engine, or one set up in the same way, must have saved it. out: owned.
 * Errors: IO; FORMAT (the file is damaged, or not of this kind); UNSUPPORTED, with the difference in the message: the
 * version of the format, the model (its metadata with overrides, its tensors, its adapters), the type of keys and
 * values, the kernel path, the device, the number of layers on a GPU, the factors of RoPE, on a GPU also `exact`;
 * CONTEXT_FULL; MEMORY (no sequence or page is left); DEVICE. */
CLLM_API cllm_status cllm_sequence_load(cllm_engine *engine, const char *path, cllm_sequence **out, cllm_error *err);

/* ------------------------------------------------------------------------------------------- evaluating */

typedef enum cllm_want {
    CLLM_WANT_NOTHING, /* only keys, values and states */
    CLLM_WANT_NEXT,    /* the likeliest token after the last one; a GPU then returns only that */
    CLLM_WANT_LAST,    /* the logits of the last token */
    CLLM_WANT_EACH,    /* the logits of every token */
    /* An embedding: rows after the model's last norm, pooled as the engine's `pooling` says. An encoder (is_encoder)
     * can do nothing else; its sequence must be empty, and is empty afterwards. */
    CLLM_WANT_EMBEDDING,
} cllm_want;

/* Tokens of one sequence to evaluate. */
typedef struct cllm_span {
    cllm_sequence *sequence; /* at most once in a call */
    const int32_t *tokens;   /* [count], which follow the sequence's last token */
    size_t count;            /* 1 or more */
    cllm_want want;
    /* out: [1 or count][n_vocab] logits, or [1, or count with CLLM_POOLING_NONE][cllm_engine_n_embd_out] embeddings,
     * valid until the next cllm_eval; or NULL */
    const float *rows;
    int32_t next;       /* out, for WANT_NEXT: the likeliest token, the lowest id if several are equal; else -1 */
    cllm_status status; /* out */
} cllm_span;

/* Evaluate spans of several sequences together. Each row has the same bits alone or beside any others, for any n_batch
 * and n_threads (on a GPU: with `exact`). Returns the first status of a span that is not OK.
 *   - All spans are checked first. If one is refused, nothing is evaluated, and each span's status is its own reason,
 *     or OK: ARGUMENT (a sequence that is given twice or belongs to another engine, count 0, an id outside the
 *     vocabulary), UNSUPPORTED (an encoder, and not WANT_EMBEDDING), CONTEXT_FULL (n_ctx), MEMORY (no page is left).
 *     A call without any span also returns ARGUMENT.
 *   - CANCELLED, DEVICE (every later call fails too) and MEMORY (for more rows of output) are the status of all spans.
 *     None has a result, and each sequence keeps the tokens of the forward passes that were completed.
 *   - With WANT_NEXT, a logit that is not a finite number gives that span the errors of cllm_sequence_diagnose. The
 *     other spans have their results.
 * The engine has n_sequences rows of output. Evaluating allocates memory only if WANT_EACH or CLLM_POOLING_NONE needs
 * more. */
CLLM_API cllm_status cllm_eval(cllm_engine *engine, cllm_span *spans, size_t n_spans, cllm_error *err);

/* Find out why a logit of the sequence's last evaluation is not a finite number. This looks at every weight, so it
 * takes a while. Never returns CLLM_OK. Errors: FORMAT (a weight is not finite, so the file is damaged; err->name is
 * the tensor), UNSUPPORTED (the model computes numbers that are too large; if err->name is "kv_type", they are too
 * large for float16 keys and values, and another kv_type helps), DEVICE, MEMORY. */
CLLM_API cllm_status cllm_sequence_diagnose(const cllm_sequence *sequence, cllm_error *err);

/* ---------------------------------------------------------------------------------------------- sampler */

typedef struct cllm_sampler cllm_sampler;

/* The steps of a sampler chain, in the usual order. */
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
    CLLM_STEP_INFILL,     /* not in the usual order */
    CLLM_STEP_ADAPTIVE_P, /* not in the usual order; it always comes last */
    CLLM_N_STEPS,
} cllm_sampler_step;

typedef struct cllm_logit_bias {
    int32_t token;
    float bias; /* added to the logit: finite, or -INFINITY, which forbids the token */
} cllm_logit_bias;

/* How to draw. Each step is defined as in llama.cpp. {0} is greedy: every step is off. CLLM_SAMPLER_DEFAULTS is a good
 * start for random draws. Penalties and DRY look at the text so far, including the prompt: see cllm_sampler_begin. All
 * numbers must be finite; where no range is given, any finite number is allowed. */
typedef struct cllm_sampler_options {
    /* 0 or less, and dynatemp_range is 0: always take the likeliest token that the other steps leave (the lowest id if
     * several are equal). */
    float temperature;
    float top_p;    /* (0, 1]: keep the likeliest tokens, until their probabilities sum to this; 1 or 0: off */
    uint32_t top_k; /* keep the k likeliest tokens, and all that are as likely as the last of them; 0: off */
    uint64_t seed;  /* of the random numbers: any number, also 0 */

    float min_p; /* [0, 1]: keep tokens that are at least this many times as likely as the likeliest; 0: off */
    /* (0, 1]: keep the tokens whose surprise, -log of the probability, is closest to its expected value, until their
     * probabilities sum to more than this; 1 or 0: off */
    float typical_p;
    float top_n_sigma; /* keep logits within this many standard deviations of the largest; 0 or less: off */
    /* [0, 1]: how often XTC removes all tokens that reach its threshold except the least likely of them; 0: off */
    float xtc_probability;
    float xtc_threshold; /* [0, 0.5]: a probability; more: off */
    /* 0 or more: the temperature varies by up to this in both directions, and is higher where many tokens are about
     * equally likely; 0: off */
    float dynatemp_range;
    float dynatemp_exponent; /* 0 or more: the temperature grows with (entropy / its maximum)^exponent */

    uint32_t penalty_last_n; /* how many of the last tokens are penalized; 0: off */
    float repeat_penalty;    /* 0 or more: divides a positive logit, multiplies a negative one; 1 or 0: off */
    float frequency_penalty; /* subtracted once for each time that the token occurred */
    float presence_penalty;  /* subtracted once if the token occurred */

    /* DRY: dry_multiplier * dry_base^(n - dry_allowed_length) is subtracted from the logit of a token that would extend
     * a repeated run of n tokens. */
    float dry_multiplier;        /* 0 or more; 0: off */
    float dry_base;              /* 0 or more; below 1: off */
    uint32_t dry_allowed_length; /* shorter runs have no penalty */
    uint32_t dry_penalty_last_n; /* how many of the last tokens are searched; 0: off */
    /* [n_dry_breakers] texts that end a run, up to 40 bytes of each; NULL: "\n" ":" "\"" "*" */
    const cllm_string *dry_breakers;
    size_t n_dry_breakers;
    uint32_t mirostat;  /* 1 or 2: the version, which replaces all steps but temperature; 0, or temperature 0: off */
    float mirostat_tau; /* 0 or more: the surprise that it aims at, in bits */
    float mirostat_eta; /* 0 or more: how fast it gets there */
    /* [0, 1]: the probability that tokens drawn by adaptive-p should have on average; negative: the step does
     * nothing */
    float adaptive_target;
    float adaptive_decay; /* [0, 0.99]: how slowly that average changes */

    const cllm_logit_bias *logit_bias; /* [n_logit_bias], added before all steps, copied */
    size_t n_logit_bias;
    const cllm_sampler_step *steps; /* [n_steps], each at most once, copied; NULL: the usual order, up to XTC */
    size_t n_steps;
    /* Of the vocabulary, for infill and for DRY's breakers (NULL: no breakers); must outlive the sampler. */
    const cllm_tokenizer *tokenizer;
} cllm_sampler_options;

#define CLLM_SAMPLER_DEFAULTS                                                                                          \
    {                                                                                                                  \
        .temperature = 0.8f, .top_p = 0.9f, .top_k = 40, .seed = 42, .xtc_threshold = 0.1f, .dynatemp_exponent = 1,    \
        .penalty_last_n = 64, .dry_base = 1.75f, .dry_allowed_length = 2, .dry_penalty_last_n = 64, .mirostat_tau = 5, \
        .mirostat_eta = 0.1f, .adaptive_target = -1, .adaptive_decay = 0.9f                                            \
    }

/* Create a sampler for a vocabulary of n_vocab tokens. options: NULL is {0}, greedy. out: owned. Errors: ARGUMENT (a
 * value is out of range), MEMORY. */
CLLM_API cllm_status cllm_sampler_create(uint32_t n_vocab, const cllm_sampler_options *options, cllm_sampler **out,
                                         cllm_error *err);
CLLM_API void cllm_sampler_destroy(cllm_sampler *sampler);

/* Set the text so far, for penalties and DRY, instead of the text that they know: [count] tokens, of which the last
 * ones are kept. cllm_generation_create calls this with the prompt. The state of the random numbers, of mirostat and of
 * adaptive-p does not change. */
CLLM_API void cllm_sampler_begin(cllm_sampler *sampler, const int32_t *tokens, size_t count);

/* The step with this name, as the metadata key general.sampling.sequence or an option spells it. name: llama.cpp's,
 * such as top_k, top-k or topk, in upper or lower case. CLLM_STEP_END if there is no such step. */
CLLM_API cllm_sampler_step cllm_sampler_step_named(const char *name, size_t length);
CLLM_API const char *cllm_sampler_step_name(cllm_sampler_step step); /* "top_k" */

/* Number of words in a mask of tokens: token t is allowed if bit t % 32 of word t / 32 is set. */
#define CLLM_MASK_WORDS(n_vocab) (((size_t)(n_vocab) + 31) / 32)

/* Draw the next token. logits: [n_vocab], not changed. mask: [CLLM_MASK_WORDS(n_vocab)] the allowed tokens; NULL: all.
 * The same logits give the same token until one is accepted.
 * Errors: FORMAT (a logit is NaN, or the largest is infinite), ARGUMENT (mask and logit bias allow no token, or a logit
 * with its bias is infinite). */
CLLM_API cllm_status cllm_sampler_sample(cllm_sampler *sampler, const float *logits, const uint32_t *mask,
                                         int32_t *token, cllm_error *err);

/* The text now goes on with `token`, an id of the vocabulary: update what the next draw depends on. */
CLLM_API void cllm_sampler_accept(cllm_sampler *sampler, int32_t token);

/* --------------------------------------------------------------------------------------------- grammars */

/* The texts of a vocabulary, sorted for grammars. It is made once, and all grammars use it. It never changes, so
 * threads may share it. */
typedef struct cllm_token_index cllm_token_index;

/* tokenizer: must outlive it. out: owned. Errors: MEMORY. */
CLLM_API cllm_status cllm_token_index_create(const cllm_tokenizer *tokenizer, cllm_token_index **out, cllm_error *err);
CLLM_API void cllm_token_index_destroy(cllm_token_index *index);

/* A set of allowed texts. A grammar keeps what it computes, so it and its matchers belong to one thread at a time. */
typedef struct cllm_grammar cllm_grammar;

typedef enum cllm_grammar_kind {
    CLLM_GRAMMAR_GBNF,        /* rules in llama.cpp's form of BNF; `root` is the whole text */
    CLLM_GRAMMAR_REGEX,       /* a regular expression in ECMAScript's syntax, which the whole text must match */
    CLLM_GRAMMAR_JSON_SCHEMA, /* JSON by a schema (draft 4 to 2020-12; $schema says which), properties in any order */
    CLLM_GRAMMAR_JSON_SCHEMA_IN_ORDER, /* the same, properties in the order of the schema, others after them */
    CLLM_GRAMMAR_CHOICE,               /* one of the lines of the text; empty lines do not count */
    CLLM_GRAMMAR_STRUCTURE,            /* parts, in JSON: see below; the only kind that allows special tokens */
    /* As JSON_SCHEMA and JSON_SCHEMA_IN_ORDER, with three differences. An object whose properties are listed has no
     * others, unless its schema mentions them or combines schemas (allOf and the like). Integers are digits (5, not 5.0
     * or 5e0). There is no white space before commas and colons. For texts that a model writes, because it may invent
     * other properties or write white space without need, and programs read 5.0 as a float. */
    CLLM_GRAMMAR_JSON_SCHEMA_CLOSED,
    CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER,
} cllm_grammar_kind;

/* Create a grammar. index: must outlive it. text: UTF-8, not kept. out: owned; must outlive its matchers.
 * Errors, with line and column, or the path in a schema, where there is one: FORMAT (the syntax), ARGUMENT (no text is
 * allowed; left recursion; an unknown rule), UNSUPPORTED (something that cannot be enforced, such as a look-behind; the
 * grammar is too large), MEMORY.
 *
 * JSON by a schema has at most 20 characters of white space between its tokens. Names, enumerated strings, and strings
 * with a pattern or format have no needless escapes. A format is enforced; one that JSON Schema does not know has no
 * effect.
 *
 * A part of a structure is
 *   "text"                                            this text, as letters or as the special tokens that it spells
 *   [part, ...]                                       the parts one after the other
 *   {"any": [part, ...]}                              one of the parts
 *   {"repeat": part, "least": n, "most": m}           n to m times the part; without the numbers any number of times
 *   {"regex": "..."}                                  a text that matches
 *   {"without": ["text", ...]}                        any text in which none of these occurs
 *   {"schema": {...}, "in_order": true, "closed": true, "name": "..", "else": part}
 *                                                     JSON by a schema. Messages say its name. If it cannot be
 *                                                     enforced, `else` is used instead */
CLLM_API cllm_status cllm_grammar_create(const cllm_token_index *index, cllm_grammar_kind kind, cllm_string text,
                                         cllm_grammar **out, cllm_error *err);
CLLM_API void cllm_grammar_destroy(cllm_grammar *grammar);

/* The state of matching one text with a grammar. */
typedef struct cllm_matcher cllm_matcher;

/* Create a matcher for an empty text, or one that continues from the state of another (fork).
 * out: owned. Errors: MEMORY, UNSUPPORTED (too many ways to begin). */
CLLM_API cllm_status cllm_matcher_create(cllm_grammar *grammar, cllm_matcher **out, cllm_error *err);
CLLM_API cllm_status cllm_matcher_fork(const cllm_matcher *matcher, cllm_matcher **out, cllm_error *err);
CLLM_API void cllm_matcher_destroy(cllm_matcher *matcher);

/* Find the tokens that may come next. mask: out, [CLLM_MASK_WORDS(n_vocab)]. Tokens that end a text are allowed where
 * the text may end.
 * Errors: MEMORY; UNSUPPORTED (too many ways to go on), ARGUMENT (an end token was taken already). */
CLLM_API cllm_status cllm_matcher_fill_mask(cllm_matcher *matcher, uint32_t *mask, cllm_error *err);

/* Add a token to the text. Errors: those of cllm_matcher_fill_mask; ARGUMENT also if the token is not allowed, and then
 * nothing has changed. */
CLLM_API cllm_status cllm_matcher_take(cllm_matcher *matcher, int32_t token, cllm_error *err);

/* Add bytes to the text. n_taken: out, how many of them are allowed. If that is not all of them, nothing changes.
 * Errors: MEMORY, UNSUPPORTED, as above. */
CLLM_API cllm_status cllm_matcher_take_bytes(cllm_matcher *matcher, const char *bytes, size_t length, size_t *n_taken,
                                             cllm_error *err);

CLLM_API bool cllm_matcher_can_end(const cllm_matcher *matcher); /* may the text end here? */

/* ------------------------------------------------------------------------------------------- generation */

/* One request: it decides what to evaluate next, and turns the results into text. */
typedef struct cllm_generation cllm_generation;

typedef enum cllm_end {
    CLLM_END_NONE = 0,     /* it goes on */
    CLLM_END_TOKEN,        /* an end token was drawn */
    CLLM_END_STOP_STRING,  /* the text reached one of the stop strings */
    CLLM_END_LENGTH,       /* n_most tokens were drawn */
    CLLM_END_CONTEXT_FULL, /* prompt and text fill the context */
    CLLM_END_CANCELLED,
    CLLM_END_GRAMMAR, /* the text fits the grammar, and nothing more may follow */
} cllm_end;

typedef struct cllm_logprob {
    int32_t token;
    float logprob; /* natural logarithm of the probability, before temperature and masks */
} cllm_logprob;

/* The result of a step. Valid until the next cllm_generation_take. */
typedef struct cllm_event {
    const int32_t *tokens; /* [n_tokens] drawn tokens, including an end token */
    size_t n_tokens;
    /* The new text. Its end is held back while it may be the beginning of a stop string, or if it is an incomplete
     * character. */
    cllm_string text;
    /* [n_tokens][1 + n_logprobs]: for each drawn token its own, then those of the likeliest tokens; or NULL */
    const cllm_logprob *logprobs;
    cllm_end end;
    bool is_unfinished;             /* the text has ended, but its grammar does not allow it to end here */
    size_t stop_string;             /* for CLLM_END_STOP_STRING: its index in the options */
    uint64_t n_drafted, n_accepted; /* draft tokens so far, and how many of them were accepted */
} cllm_event;

/* A function of the caller that says which tokens may come after `tokens`, [count]: it sets their bits in mask,
 * [CLLM_MASK_WORDS(n_vocab)], which is all zeros before. */
typedef void (*cllm_fill_mask)(void *user, const int32_t *tokens, size_t count, uint32_t *mask);

typedef struct cllm_generation_options {
    cllm_sampler *sampler;           /* borrowed; NULL: greedy */
    const int32_t *end_tokens;       /* [n_end_tokens], copied; NULL: the vocabulary's (cllm_tokenizer_is_eog) */
    size_t n_end_tokens;             /* 0 with end_tokens not NULL: no token ends the text */
    const cllm_string *stop_strings; /* [n_stop_strings], copied; none is empty. They are not part of the text */
    size_t n_stop_strings;
    uint64_t n_most;    /* tokens; 0: as many as the context holds */
    bool spell_control; /* put the spelling of control tokens into the text: for cllm_answer_take */
    bool logprobs;
    uint32_t n_logprobs;           /* how many of the likeliest tokens, besides the drawn one; at most n_vocab */
    cllm_grammar *grammar;         /* the text must follow it; borrowed; or NULL */
    cllm_preamble preamble;        /* copied: the grammar begins after it and white space; {0}: it begins at once */
    cllm_fill_mask fill_mask;      /* or NULL: any token may be drawn */
    void *fill_mask_user;          /* passed to fill_mask */
    uint32_t n_draft;              /* most tokens of a draft; 0: 16; at most n_batch - 1 are used */
    bool draft_lookup;             /* draft what followed the last tokens where they occurred before */
    cllm_sequence *draft_sequence; /* draft with this empty sequence of another engine, whose model has the same
                                      vocabulary; or NULL */
} cllm_generation_options;

/* Create a generation. prompt: [count] the whole text from position 0, copied.
 * The sequence must be empty, or hold a beginning of the prompt, but not all of it. options: may be NULL. out: owned.
 * The sequence still belongs to the caller, and must outlive the generation. Between cllm_generation_take and the next
 * cllm_generation_wants, the caller may truncate it, or empty and reuse it.
 * Drafts do not change the text, at any temperature: several guessed tokens are evaluated together, and those that the
 * sampler would have drawn are kept. Drafting pauses while it saves no time. Where a grammar allows only one text
 * to follow, that text is drafted too (on a GPU only if the engine is exact).
 * Errors: ARGUMENT (also: vocabularies that differ, drafts on a GPU without `exact`, a grammar together with
 * fill_mask), UNSUPPORTED (as for cllm_matcher_create), CONTEXT_FULL, MEMORY. The generation ends at once if the prompt
 * exactly fills the context (CLLM_END_CONTEXT_FULL), or if the grammar allows only the empty text
 * (CLLM_END_GRAMMAR). */
CLLM_API cllm_status cllm_generation_create(cllm_sequence *sequence, const int32_t *prompt, size_t count,
                                            const cllm_generation_options *options, cllm_generation **out,
                                            cllm_error *err);
CLLM_API void cllm_generation_destroy(cllm_generation *generation);

/* Ask what to evaluate next: tokens after those that the sequence holds, at most `most` (1 or more). Returns false if
 * the generation has ended. span: out, for cllm_eval; its tokens are valid until cllm_generation_take. With a
 * draft_sequence this evaluates the small model, whose engine has its own `progress`; if that fails or is cancelled,
 * the generation stops drafting. */
CLLM_API bool cllm_generation_wants(cllm_generation *generation, size_t most, cllm_span *span);

/* Why the generation has ended, or CLLM_END_NONE. */
CLLM_API cllm_end cllm_generation_end(const cllm_generation *generation);

/* Compute the masks that cllm_generation_take will need. You may call this in another thread during cllm_eval. If you
 * do not, cllm_generation_take computes them. */
CLLM_API void cllm_generation_prepare(cllm_generation *generation);

/* Take the result of cllm_eval for the span. A cancelled span ends the generation. At any other end the sequence holds
 * all tokens but the last drawn one. event: out; it is empty while the prompt is not evaluated completely.
 * Errors: the span's status; ARGUMENT if the span was not evaluated because another span of the call was refused (ask
 * with cllm_generation_wants again); those of cllm_sequence_diagnose, if a logit is not a finite number; ARGUMENT (a
 * mask that allows no token); UNSUPPORTED (as for cllm_matcher_fill_mask); MEMORY. */
CLLM_API cllm_status cllm_generation_take(cllm_generation *generation, const cllm_span *span, cllm_event *event,
                                          cllm_error *err);

#ifdef __cplusplus
}
#endif
#endif
