/* answer_format: how a model writes its answers, as far as its template shows it: the marks around reasoning, content
 * and tool calls.
 *
 *   template -> rendering of known conversations -> answer_format -> answer.c: reads what the model writes */
#ifndef CHAT_ANSWER_FORMAT_H
#define CHAT_ANSWER_FORMAT_H

#include "base/arena.h"
#include "cllm.h"

typedef enum call_form {
    CALLS_JSON,      /* an object with name and arguments, or a list of them */
    CALLS_NAME_JSON, /* a name, then an object of arguments */
    CALLS_KEYS,      /* a name, then each argument between marks of its own */
    CALLS_TAGS,      /* the same, but an argument's name is its tag, and values have tags too */
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

/* A literal; the white space around it is stored separately, because models vary it. */
typedef struct answer_mark {
    cllm_string text;          /* "": there is none */
    cllm_string before, after; /* white space */
} answer_mark;

/* The function and the argument of the known conversations, as they occur in call_object. */
#define ANSWER_NAME "first_tool"
#define ANSWER_KEY  "alpha_key"

/* All strings are in the chat's arena. */
typedef struct answer_format {
    /* text */
    answer_mark reasoning_open, reasoning_close;
    answer_mark content_open, content_close;
    cllm_string role;       /* what begins an answer in the prompt, such as "<|im_start|>assistant" */
    cllm_string begins;     /* white space that the template puts before the first word of an answer */
    cllm_string ends;       /* and after the last word */
    answer_pieces turn_end; /* each of them ends the answer */
    bool trims;             /* the template trims content, */
    bool trims_reasoning;   /* and reasoning */
    bool opens_reasoning;   /* the prompt opens the reasoning */
    bool in_messages;       /* <|start|>, a header, <|message|>, text, <|end|>: gpt-oss and similar formats */

    /* calls */
    call_form form;
    answer_pieces open, close;
    cllm_string call_space;    /* white space between content and a call */
    size_t n_outer;            /* how many of `open` come only before the first call, */
    size_t n_inner;            /* and how many of `close` come after each call; the others come after the last */
    bool in_list;              /* calls are in brackets, separated by commas */
    bool assumed;              /* the template writes no calls: their form is that of similar models */
    cllm_string call_object;   /* JSON: a call as the template writes it; or "" */
    bool bare;                 /* a JSON object or list at the beginning of an answer may be a call */
    bool name_is_key;          /* JSON: {"f": {...}} */
    bool id_is_last;           /* JSON: the id comes after the arguments */
    bool id_is_name;           /* the name is written as an id, "functions.f:0" */
    bool prompt_opens;         /* the prompt ends with the mark of a call: ">>>" */
    cllm_string id_end;        /* ends an id before the name, or "" */
    cllm_string id_begin;      /* begins an id after the name, or "" */
    cllm_string name_end;      /* between a name and its arguments */
    bool name_end_varies;      /* then comes something short that varies: */
    cllm_string name_end_rest; /* a number, and this */
    cllm_string key_open;      /* KEYS: before a key */
    answer_mark key_close;     /* between key and value; if values are typed, between key and type */
    cllm_string type_close, is_string; /* between type and value; the type of strings, */
    cllm_string not_string;            /* and that of other values */
    answer_mark value_close;
    bool has_cdata; /* KEYS: a value may be in <![CDATA[..]]> */
} answer_format;

/* True if the reasoning is still open at the end of a prompt whose last message is `prompt`. */
bool answer_opens_reasoning(const answer_format *o, cllm_string prompt);

struct cllm_chat;

/* Fill chat->format by rendering. What the template does not show stays empty. Errors: MEMORY. */
cllm_status answer_format_find(struct cllm_chat *chat, cllm_error *err);

#endif
