/* answer_format describes how a model writes its answers: the marks around reasoning, content and tool calls. Its
 * template shows them: it renders conversations whose words are known beforehand.
 *
 *   template -> renderings of known conversations -> answer_format -> answer.c: reads what the model writes */
#ifndef CHAT_ANSWER_FORMAT_H
#define CHAT_ANSWER_FORMAT_H

#include "cllm.h"

typedef enum call_form {
    CALLS_JSON,      /* an object with name and arguments, or a list of them */
    CALLS_NAME_JSON, /* a name, then an object of arguments */
    CALLS_KEYS,      /* a name, then each argument between marks of its own */
    CALLS_TAGS,      /* the same, but the name of an argument is its tag: <key>value</key> */
    CALLS_PYTHON,    /* [f(a="b", n=2), g()] */
    CALLS_BRACES,    /* f{a:<|"|>b<|"|>,n:2} */
    CALLS_MESSAGES,  /* the header of a message names the function: gpt-oss */
} call_form;

/* Literals in a row, with any white space between them. */
enum { ANSWER_MOST_PIECES = 8 };
typedef struct answer_pieces {
    cllm_string items[ANSWER_MOST_PIECES]; /* [count], trimmed */
    size_t count;
} answer_pieces;

/* A literal. The white space around it is kept apart, because models vary it. */
typedef struct answer_mark {
    cllm_string text;          /* "": there is none */
    cllm_string before, after; /* white space */
} answer_mark;

/* The names of the function and of the argument that the known conversations use; call_object contains them. */
#define ANSWER_NAME "first_tool"
#define ANSWER_KEY  "alpha_key"

/* All strings are in the chat's arena. */
typedef struct answer_format {
    /* text */
    answer_mark reasoning_open, reasoning_close;
    answer_mark content_open, content_close;
    cllm_string role;       /* what begins an answer in the prompt, such as "<|im_start|>assistant" */
    cllm_string begins;     /* white space that the template puts before the first word of an answer */
    cllm_string ends;       /* white space that it puts after the last word */
    answer_pieces turn_end; /* each of them ends the answer */
    bool trims;             /* the template trims content */
    bool trims_reasoning;   /* the template trims reasoning */
    bool opens_reasoning;   /* the prompt opens the reasoning */
    bool in_messages;       /* <|start|>, a header, <|message|>, text, <|end|>: gpt-oss and similar formats */

    /* calls */
    call_form form;
    answer_pieces open, close;
    cllm_string call_space;  /* white space between content and a call */
    size_t n_outer;          /* how many of `open` come only before the first call; the others come before each */
    size_t n_inner;          /* how many of `close` come after each call; the others come only after the last */
    bool in_list;            /* calls are in brackets, separated by commas */
    bool assumed;            /* the template never writes calls: their form is that of similar models */
    cllm_string call_object; /* CALLS_JSON: a call as the template writes it; or "" */
    bool bare;               /* an answer may begin with a call: '{' or '[', for CALLS_PYTHON only '[' */
    bool name_is_key;        /* CALLS_JSON: {"f": {...}} */
    bool id_is_last;         /* CALLS_JSON: the id comes after the arguments */
    bool id_is_name;         /* the name is written as an id, "functions.f:0" */
    bool prompt_opens;       /* the prompt ends with the mark of a call: ">>>" */
    cllm_string id_end;      /* ends an id before the name, or "" */
    cllm_string id_begin;    /* begins an id after the name, or "" */
    cllm_string name_end;    /* between a name and its arguments */
    bool name_end_varies;    /* after name_end come a number, as in index="1", and name_end_rest */
    cllm_string name_end_rest;
    cllm_string key_open;   /* CALLS_KEYS: before a key */
    answer_mark key_close;  /* between key and value; if values are typed, between key and type */
    cllm_string type_close; /* between type and value; "": values are not typed */
    cllm_string is_string;  /* the type of strings */
    cllm_string not_string; /* the type of other values */
    answer_mark value_close;
    bool has_cdata; /* CALLS_KEYS: a value may be in <![CDATA[..]]> */
} answer_format;

/* True if the reasoning is still open at the end of a prompt whose last message is `prompt`. */
bool answer_opens_reasoning(const answer_format *o, cllm_string prompt);

struct cllm_chat;

/* Fill chat->format by rendering. What the template does not show stays empty. Errors: MEMORY. */
cllm_status answer_format_find(struct cllm_chat *chat, cllm_error *err);

#endif
