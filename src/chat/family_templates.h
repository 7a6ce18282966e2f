/* Chat templates for files that have none: that of the family whose special tokens the vocabulary has. */
#ifndef CHAT_FAMILY_TEMPLATES_H
#define CHAT_FAMILY_TEMPLATES_H

#include "cllm.h"

typedef struct family_template {
    const char *name;      /* as a user gives it: "chatml" */
    const char *family;    /* for people: "ChatML (Qwen, ...)" */
    const char *source;    /* Jinja */
    const char *tokens[3]; /* the vocabulary has all of them; unused ones are NULL */
} family_template;

/* The one of this name, or NULL. */
const family_template *family_template_named(const char *name);

/* The one whose tokens the vocabulary has, or NULL. */
const family_template *family_template_of(const cllm_gguf *gguf);

/* Their names, for messages: "chatml, gemma, ..." */
const char *family_template_names(void);

#endif
