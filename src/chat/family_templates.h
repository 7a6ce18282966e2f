/* Chat templates for files that have none. The vocabulary's special tokens tell the family. After it: chat.c. */
#ifndef CHAT_FAMILY_TEMPLATES_H
#define CHAT_FAMILY_TEMPLATES_H

#include "cllm.h"

typedef struct family_template {
    const char *name;      /* as the user gives it: "chatml" */
    const char *family;    /* for messages: "ChatML" */
    const char *source;    /* Jinja */
    const char *tokens[3]; /* the vocabulary has all of them; unused ones are NULL */
} family_template;

/* The template with this name, or NULL. */
const family_template *family_template_named(const char *name);

/* The first template whose tokens are all in the vocabulary, or NULL. */
const family_template *family_template_of(const cllm_gguf *gguf);

/* All names, for messages: "chatml, gemma, ..." */
const char *family_template_names(void);

#endif
