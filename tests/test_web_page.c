/* Tests the web page in the program: every file of programs/server/web, byte for byte, and its type and ETag. */
#include "support/check.h"

#include "server/web_page.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "programs/server/web"

static void test_bytes(void **state) {
    (void)state;
    size_t n_here = 0, n_there = 0;
    DIR *folder = opendir(FOLDER);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        char name[512];
        snprintf(name, sizeof name, "/%.200s", entry->d_name);
        const web_file *file = web_page_find(name);
        assert_non_null(file);
        snprintf(name, sizeof name, "%s/%.200s", FOLDER, entry->d_name);
        size_t n_bytes = 0;
        unsigned char *bytes = read_file(name, &n_bytes);
        assert_int_equal(file->length, n_bytes);
        assert_memory_equal(file->bytes, bytes, n_bytes);
        free(bytes);
        n_here++;
    }
    closedir(folder);
    for (const web_file *file = web_files; file->path; file++) n_there++;
    assert_int_equal(n_here + 1, n_there); /* the other one describes the API */
    assert_non_null(web_page_find("/openapi.json"));
}

static void test_find(void **state) {
    (void)state;
    const web_file *page = web_page_find("/");
    assert_non_null(page);
    assert_ptr_equal(page, web_page_find("/index.html"));
    assert_string_equal(page->type, "text/html; charset=utf-8");
    assert_string_equal(web_page_find("/page.js")->type, "text/javascript; charset=utf-8");
    assert_string_equal(web_page_find("/page.css")->type, "text/css; charset=utf-8");
    assert_string_equal(web_page_find("/icon.svg")->type, "image/svg+xml; charset=utf-8");
    const char *not_here[] = {"", "index.html", "/index", "/web/", "//", "/../web_page.c", "/page.js/", "/PAGE.JS"};
    for (size_t i = 0; i < sizeof not_here / sizeof *not_here; i++) assert_null(web_page_find(not_here[i]));
}

static void test_etags(void **state) {
    (void)state;
    for (const web_file *file = web_files; file->path; file++) {
        size_t length = strlen(file->etag);
        assert_true(length > 4 && file->etag[0] == '"' && file->etag[length - 1] == '"');
        assert_int_equal(strspn(file->etag + 1, "0123456789-"), length - 2);
        for (const web_file *other = web_files; other != file; other++)
            assert_string_not_equal(file->etag, other->etag);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_etags),
    };
    return cmocka_run_group_tests_name("web_page", tests, NULL, NULL);
}
