/* Conversations in files: JSON, which can be loaded again, and Markdown for people. */
#define _XOPEN_SOURCE 700 /* realpath */

#include "conversation.h"
#include "json_output.h"
#include "text_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *text_of(const json_t *message, const char *key) {
    const char *text = json_string_value(json_object_get(message, key));
    return text ? text : "";
}

static void write_markdown(const conversation *c, FILE *out) {
    size_t i;
    json_t *message;
    fprintf(out, "# A conversation with %s\n", cllm_model_get_info(c->run->model)->name);
    json_array_foreach(c->messages, i, message) {
        const char *role = text_of(message, "role"), *reasoning = text_of(message, "reasoning_content");
        fprintf(out, "\n## %c%s\n\n", role[0] >= 'a' && role[0] <= 'z' ? role[0] - 'a' + 'A' : role[0],
                role + (*role != '\0'));
        if (*reasoning) fprintf(out, "<details><summary>Reasoning</summary>\n\n%s\n\n</details>\n\n", reasoning);
        fprintf(out, "%s\n", text_of(message, "content"));
    }
}

static bool write_json(const conversation *c, FILE *out) {
    const char *name = cllm_model_get_info(c->run->model)->name;
    json_t *document = json_object();
    json_put(&document, "model", json_text(name, strlen(name)));
    json_put(&document, "messages", json_incref(c->messages));
    const bool written = document && json_dumpf(document, out, JSON_INDENT(2)) == 0;
    json_decref(document);
    fputc('\n', out);
    return written;
}

static bool write_to(const conversation *c, const char *name, FILE *out) {
    bool written = true;
    errno = 0;
    if (text_ends_with(name, ".md"))
        write_markdown(c, out);
    else
        written = write_json(c, out);
    return fflush(out) == 0 && !ferror(out) && written;
}

static int fail_to_write(const char *flag, const char *path) {
    return fail("%s%s: %s", flag, path, errno ? strerror(errno) : "it could not be written");
}

/* Whatever happens, either the old file or the whole new one is there: the text goes to FILE.partial, which is renamed
 * at the end. A link stays a link. A pipe or a device is written to directly. */
int conversation_save(const conversation *c, const char *flag, const char *path) {
    struct stat old;
    const bool exists = stat(path, &old) == 0;
    char *real = exists ? realpath(path, NULL) : strdup(path), partial[4096];
    if (!real) return fail_to_write(flag, path);
    const bool replaces = !exists || S_ISREG(old.st_mode);
    if (snprintf(partial, sizeof partial, "%s%s", real, replaces ? ".partial" : "") >= (int)sizeof partial) {
        free(real);
        return fail("the name of the file is too long: %s%s", flag, path);
    }
    FILE *out = fopen(partial, "w");
    bool written = out && write_to(c, path, out);
    if (out && replaces && written) {
        if (exists) (void)fchmod(fileno(out), old.st_mode & 0777);
        written = fsync(fileno(out)) == 0;
    }
    if (out) written = fclose(out) == 0 && written;
    if (written && replaces) written = rename(partial, real) == 0;
    const int status = written ? EXIT_SUCCESS : fail_to_write(flag, path);
    if (!written && replaces && out) remove(partial);
    free(real);
    return status;
}

static bool is_message(const json_t *message) {
    return json_is_string(json_object_get(message, "role")) && json_is_string(json_object_get(message, "content"));
}

int conversation_load(conversation *c, const char *path) {
    json_error_t error;
    input in;
    const int status = read_input(path, &in);
    if (status != EXIT_SUCCESS) return status;
    json_t *document = json_loadb(in.data ? in.data : "", in.length, JSON_ALLOW_NUL, &error);
    free(in.data);
    if (!document)
        return fail("%s: line %d: %s; only the JSON that /save writes can be loaded", path, error.line, error.text);
    json_t *messages = json_incref(json_is_array(document) ? document : json_object_get(document, "messages"));
    const char *model = json_string_value(json_object_get(document, "model"));
    const char *ours = cllm_model_get_info(c->run->model)->name;
    if (model && strcmp(model, ours) != 0) note(c->run->o, "%s: a conversation with %s, not %s", path, model, ours);
    json_decref(document);
    bool sound = json_is_array(messages);
    for (size_t i = 0; sound && i < json_array_size(messages); i++) sound = is_message(json_array_get(messages, i));
    if (!sound) {
        json_decref(messages);
        return fail("%s: not a conversation: \"messages\" must be a list of objects with role and content", path);
    }
    return conversation_set_messages(c, messages);
}
