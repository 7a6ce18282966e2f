/* Shared by the files that read a model's answer: texts that grow, a reader of text that is still coming in, and tool
 * calls.
 *
 *   answer_format -> answer.c: finds reasoning, content and the beginning of calls
 *                 -> answer_calls.c: reads a call -> answer_values.c: reads its arguments */
#ifndef CHAT_ANSWER_H
#define CHAT_ANSWER_H

#include "base/json.h"
#include "chat/answer_format.h"

typedef struct answer_text {
    char *bytes; /* owned */
    size_t length, capacity;
    bool failed; /* out of memory */
} answer_text;

void answer_put(answer_text *t, const char *bytes, size_t length);

void answer_text_free(answer_text *t);

/* Add bytes as the inside of a JSON string: escaped, with U+FFFD for what is not UTF-8. */
void answer_put_escaped(answer_text *t, const char *bytes, size_t length);

/* Add the character of an escape \uXXXX. *half: the first half of a surrogate pair, if the escape just before was one,
 * else 0; it is set for the next escape. A half without the other becomes U+FFFD. */
void answer_put_code(answer_text *t, uint32_t code, uint32_t *half);

/* The other half does not follow: add U+FFFD if *half is not 0. */
void answer_end_half(answer_text *t, uint32_t *half);

/* The result of reading a piece of text. PARTIAL: more text is needed to decide. */
typedef enum reading { READ_NO, READ_PARTIAL, READ_YES } reading;

typedef struct text_reader {
    const char *text; /* [length] */
    size_t length, at;
    bool ended; /* no more text follows */
} text_reader;

void reader_skip_space(text_reader *r);

/* Read a mark and move past it. White space with a newline in the mark matches any white space or none, and so does the
 * place between ">" and "<". Once the text has ended, the result is never PARTIAL. */
reading reader_match(text_reader *r, cllm_string mark);

/* Move past one character. */
reading reader_match_char(text_reader *r, char c);

/* Move past a JSON value. If it is cut off or invalid, `at` is where it stops; what is before `at` belongs to it. */
reading reader_scan_json(text_reader *r);

/* Move past a literal of Python, JSON or Gemma. If the result is YES, its JSON is added to `out`; otherwise `out` may
 * have got a part of it. */
reading reader_read_literal(text_reader *r, answer_text *out, int depth);

/* The list of tools that the user gave. */
typedef struct answer_tools {
    json_value list; /* an array */
    bool given;
} answer_tools;

/* True if there is a tool with this name. Without a list of tools every name counts. */
bool answer_may_call(const answer_tools *tools, cllm_string name);

/* answer_is_string: true if the argument `key` must be a string; answer_may_be_string: true if it may be one. An
 * argument that the tool's schema does not list is a string. Without a list of tools any type is allowed. */
bool answer_is_string(const answer_tools *tools, cllm_string name, cllm_string key);
bool answer_may_be_string(const answer_tools *tools, cllm_string name, cllm_string key);

/* A tool of the list, without the object around it; NULL if it has no name. */
const json_value *answer_function(const json_value *tool);

/* What the end of the prompt opens: reasoning, or a call. prompt: as for cllm_answer_create. */
cllm_preamble answer_reasoning(const answer_format *o, const cllm_part *prompt, size_t n_parts);
bool answer_prompt_opens_call(const answer_format *o, const cllm_part *prompt, size_t n_parts);

/* The model wrote this value without quotes. Add it as JSON, with a type that the tool's schema allows. A value that
 * does not fit becomes a string. */
void answer_put_value(answer_text *out, const answer_tools *tools, cllm_string name, cllm_string key,
                      cllm_string value);

/* Add a value whose type is not string. If it cannot be read as any other type, it becomes a string. */
void answer_put_typed(answer_text *out, cllm_string value);

/* A call that is being read. */
typedef struct call_reading {
    reading state; /* NO: no call is here. But NO with `begun`: a call is here, and breaks off at `end` */
    size_t end;    /* YES: the offset after the call */
    bool begun;    /* its name is complete, and its arguments have begun */
    bool in_list;  /* more of them may follow after a comma */
    cllm_string name, id;
    cllm_string arguments; /* so far; they only grow */
} call_reading;

/* Read the call at r->at. first: which piece of format->open is there (format->open.count: none of them). in_list: true
 * for the second call of a list and those after it. written: a buffer for arguments, overwritten. */
void answer_read_call(const answer_format *format, const answer_tools *tools, text_reader *r, size_t first,
                      bool in_list, answer_text *written, call_reading *call);

/* The header of a message, for gpt-oss and similar formats. */
typedef struct message_header {
    cllm_string recipient; /* or "" */
    bool is_analysis;
} message_header;

/* Read a header and move past its <|message|>. */
reading answer_read_header(text_reader *r, message_header *header);

#endif
