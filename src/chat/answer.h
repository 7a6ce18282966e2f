/* What the files that read answers share: growing texts, marks that may still become whole, tool calls and their values.
 *
 *   answer_format -> answer.c: reasoning, content and where calls begin -> answer_calls.c: a call -> answer_values.c: its arguments */
#ifndef CHAT_ANSWER_H
#define CHAT_ANSWER_H

#include "base/json.h"
#include "chat/answer_format.h"

typedef struct answer_text {
    char *bytes; /* owned */
    size_t length, capacity;
    bool failed; /* there was no memory */
} answer_text;

void answer_put(answer_text *t, const char *bytes, size_t length);

void answer_text_free(answer_text *t);

/* The bytes within a JSON string: escaped, and U+FFFD for what is no UTF-8. */
void answer_put_escaped(answer_text *t, const char *bytes, size_t length);

/* How far a text is read. What is partial may become anything by what follows. */
typedef enum reading { READ_NO, READ_PARTIAL, READ_YES } reading;

typedef struct text_reader {
    const char *text; /* [length] */
    size_t length, at;
    bool ended; /* nothing follows */
} text_reader;

void reader_skip_space(text_reader *r);

/* Read a mark, and go past it. White space in it that has a newline stands for any. Never PARTIAL where the text has ended. */
reading reader_match(text_reader *r, cllm_string mark);

/* Go past one character. */
reading reader_match_char(text_reader *r, char c);

/* Go past a JSON value. Else `at` is where it is cut off, or cannot go on: what stands before it is sure to be part of it. */
reading reader_scan_json(text_reader *r);

/* Go past a literal of Python, JSON or Gemma, whose JSON is added to `out`, if it is YES. */
reading reader_read_literal(text_reader *r, answer_text *out, int depth);

/* The list of tools that the user gave. */
typedef struct answer_tools {
    json_value list; /* an array */
    bool given;
} answer_tools;

/* Is there a tool of this name? Without tools every name is one. */
bool answer_may_call(const answer_tools *tools, cllm_string name);

/* Can an argument be nothing but a string? Can it be one? */
bool answer_is_string(const answer_tools *tools, cllm_string name, cllm_string key);
bool answer_may_be_string(const answer_tools *tools, cllm_string name, cllm_string key);

/* A tool of the list, without what is around it, or NULL: it has no name. */
const json_value *answer_function(const json_value *tool);

/* The end of the prompt, as cllm_answer_create has it: does it open the reasoning, or a call? */
cllm_preamble answer_reasoning(const answer_format *o, const cllm_part *prompt, size_t n_parts);
bool answer_prompt_opens_call(const answer_format *o, const cllm_part *prompt, size_t n_parts);

/* Add a value as JSON that is spelled without quotes, by the type that the tool's schema says. */
void answer_put_value(answer_text *out, const answer_tools *tools, cllm_string name, cllm_string key,
                      cllm_string value);

/* Add a value of a type that is no string; what it cannot be, is one. */
void answer_put_typed(answer_text *out, cllm_string value);

/* A call so far. */
typedef struct call_reading {
    reading state; /* NO: none, or if it has begun, it breaks at `end` */
    size_t end;    /* of YES: after it */
    bool begun;    /* its name is whole, and its arguments have begun */
    bool in_list;  /* more of them may follow after a comma */
    cllm_string name, id;
    cllm_string arguments; /* so far: they only ever grow */
} call_reading;

/* Read the call at r->at: first is the piece of format->open that stands there; format->open.count: none. in_list: another call of a
 * list. written: for arguments, overwritten. */
void answer_read_call(const answer_format *format, const answer_tools *tools, text_reader *r, size_t first,
                      bool in_list, answer_text *written, call_reading *call);

/* The header of a message: gpt-oss and those like it. YES: `at` is after <|message|>. */
typedef struct message_header {
    cllm_string recipient; /* or "" */
    bool is_analysis;
} message_header;
reading answer_read_header(text_reader *r, message_header *header);

#endif
