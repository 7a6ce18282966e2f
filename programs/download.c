/* Implements download.h. Bytes go to FILE.partial, or, from a server other than the Hub, to FILE.ETAG.partial. Only one
 * process at a time writes it: the one that holds a lock on FILE.lock. A later run continues at its end. When size and
 * SHA-256 are right, as far as they are known, it is renamed to FILE. */
#ifdef HAVE_CURL
#include "download.h"

#include "interrupt.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

typedef enum sink_fault {
    NO_FAULT,
    WRITE_FAILED, /* errno */
    TOO_LONG,
    OTHER_SIZE,
    NOT_GGUF,    /* a web page, perhaps */
    NOT_WANTED,  /* the watcher stopped it */
    OTHER_RANGE, /* the server sends other bytes than requested */
} sink_fault;

typedef struct transfer {
    download *d;
    path_text partial;
    int file;
    EVP_MD_CTX *hash; /* of the first `length` bytes */
    uint64_t length, begin_length;
    uint64_t asked_from;
    bool first_bytes; /* no byte of the answer has come yet */
    sink_fault fault;
    int write_errno;
    double start, drawn;
} transfer;

/* ------------------------------------------------------------------------------------------------- bar */

/* Returns false if the watcher wants to stop. */
static bool draw(transfer *t, bool last) {
    const double time = now(), seconds = time - t->start;
    if (!last && time - t->drawn < 0.1) return true;
    t->drawn = time;
    const pull_watch *watch = t->d->watch;
    if (watch) return watch->tell(watch->user, t->d->file, t->d->sha256, t->length, t->d->size);
    const char *slash = strrchr(t->d->path.text, '/');
    char rest[96] = "";
    const double rate = seconds > 0 ? (double)(t->length - t->begin_length) / seconds : 0;
    const bool sized = t->d->size != HTTP_UNSAID && t->d->size > 0;
    if (seconds > 0.5 && rate > 0) {
        int n = snprintf(rest, sizeof rest, " %s/s", format_bytes((uint64_t)rate).text);
        const uint64_t left = sized ? (uint64_t)((double)(t->d->size - t->length) / rate) : 0;
        if (sized)
            snprintf(rest + n, sizeof rest - (size_t)n, ", %" PRIu64 ":%02" PRIu64 " left", left / 60, left % 60);
    }
    draw_bar(t->d->o, slash ? slash + 1 : t->d->path.text,
             sized ? (int)(100 * (double)t->length / (double)t->d->size) : 0, rest, last);
    return true;
}

/* ------------------------------------------------------------------------------------------------ lock */

/* A process that ends its lock removes the lock file. So after waiting for the lock, check that the locked file is
 * still the one at `path`. */
static int take_lock(const download *d, const char *path, bool *waited, int *lock) {
    for (bool told = false;;) {
        *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (*lock < 0) return fail("%s: %s", path, strerror(errno));
        while (flock(*lock, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
            if (!told) note(d->o, "%s: another process pulls this file; waiting for it", d->name->text);
            *waited = told = true;
            if (interrupted()) return EXIT_INTERRUPTED;
            nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
        }
        struct stat mine, named;
        if (fstat(*lock, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino) return EXIT_SUCCESS;
        close(*lock);
    }
}

/* ----------------------------------------------------------------------------------------- what arrives */

/* Start from the beginning: the bytes so far are not those of the wanted file. */
static bool start_over(transfer *t) {
    t->length = t->begin_length = 0;
    return ftruncate(t->file, 0) == 0 && lseek(t->file, 0, SEEK_SET) == 0 &&
           EVP_DigestInit_ex(t->hash, EVP_sha256(), NULL) == 1;
}

/* Hash the bytes that an earlier run left. */
static int read_part(transfer *t) {
    static unsigned char buffer[1 << 18];
    for (ssize_t n; (n = read(t->file, buffer, sizeof buffer)) != 0;) {
        if (interrupted()) return EXIT_INTERRUPTED;
        if (n < 0) return fail("%s: %s", t->partial.text, strerror(errno));
        EVP_DigestUpdate(t->hash, buffer, (size_t)n);
        t->length += (uint64_t)n;
    }
    return EXIT_SUCCESS;
}

static bool sink_fails(transfer *t, sink_fault fault) {
    t->fault = fault;
    t->write_errno = errno;
    return false;
}

static bool take_bytes(void *user, const http_reply *reply, const char *bytes, size_t n) {
    transfer *t = user;
    if (reply->status != 200 && reply->status != 206) return true; /* the body is a page about an error */
    if (t->first_bytes) {
        t->first_bytes = false;
        if (reply->status == 206 && reply->range_start != t->asked_from) return sink_fails(t, OTHER_RANGE);
        const uint64_t begin = reply->status == 206 ? t->asked_from : 0;
        if (t->d->size != HTTP_UNSAID && reply->length != HTTP_UNSAID && begin + reply->length != t->d->size)
            return sink_fails(t, OTHER_SIZE);
        /* a server that ignores ranges sends all of it */
        if (reply->status == 200 && t->length > 0 && !start_over(t)) return sink_fails(t, WRITE_FAILED);
    }
    if (t->length < 4 && memcmp(bytes, &"GGUF"[t->length], n < 4 - t->length ? n : 4 - (size_t)t->length) != 0)
        return sink_fails(t, NOT_GGUF);
    if (t->d->size != HTTP_UNSAID && n > t->d->size - t->length) return sink_fails(t, TOO_LONG);
    for (size_t done = 0; done < n;) {
        const ssize_t written = write(t->file, bytes + done, n - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return sink_fails(t, WRITE_FAILED);
        EVP_DigestUpdate(t->hash, bytes + done, (size_t)written);
        t->length += (uint64_t)written;
        done += (size_t)written;
    }
    return draw(t, false) || sink_fails(t, NOT_WANTED);
}

/* The file, for messages. */
static path_text shown(const download *d) {
    if (*d->name->repo) return path_of("%s: %s", d->name->text, d->file);
    return path_of("%.*s", (int)strcspn(d->file, "?#"), d->file); /* a query may have a secret */
}

static int fail_wrong(transfer *t, const char *what) {
    unlink(t->partial.text);
    return fail("%s: %s; what had arrived is removed", shown(t->d).text, what);
}

static int fail_without_model(transfer *t) {
    unlink(t->partial.text);
    return fail("%s: the server does not send a GGUF file, but perhaps a web page", shown(t->d).text);
}

/* Report why the sink stopped. */
static int fail_sink(transfer *t) {
    const char *what = strerror(t->write_errno);
    if (t->fault == OTHER_SIZE) return fail_wrong(t, "the server's file has a different size than the Hub says");
    if (t->fault == TOO_LONG) return fail_wrong(t, "the server sends more bytes than the file has");
    if (t->fault == NOT_GGUF) return fail_without_model(t);
    if (t->fault == NOT_WANTED)
        return fail("%s: nobody waits for it any more; what has arrived stays for the next time", t->d->name->text);
    return fail("%s: %s; what has arrived stays for the next time", t->partial.text, what);
}

/* ---------------------------------------------------------------------------------------------- asking */

/* Fetch the missing bytes, in one or more answers. */
static int fetch(transfer *t, location *where) {
    download *d = t->d;
    unsigned n_tries = 0, n_ranges_refused = 0;
    uint64_t best = t->length;
    for (int n_redirects = 0; d->size == HTTP_UNSAID || t->length < d->size;) {
        http_reply reply;
        t->first_bytes = true;
        t->asked_from = t->length;
        t->fault = NO_FAULT;
        const http_result result = http_ask(d->h, where->url, false, t->length, take_bytes, t, &reply);
        if (result == HTTP_STOPPED) return EXIT_INTERRUPTED;
        if (t->length > best) n_tries = 0;
        if (t->length > best) best = t->length;
        bool relocate = false;
        if (result == HTTP_DECLINED && t->fault != OTHER_RANGE) return fail_sink(t);
        if (result == HTTP_DECLINED && !start_over(t)) return fail("%s: %s", t->partial.text, strerror(errno));
        if (result == HTTP_ANSWERED && (reply.status == 200 || reply.status == 206)) {
            if (d->size == HTTP_UNSAID) d->size = t->length;
            if (t->length >= d->size) break; /* else the server ended too early */
        } else if (result == HTTP_ANSWERED && http_is_redirect(reply.status) && n_redirects++ < 10 &&
                   http_may_follow(where->url, &reply)) {
            snprintf(where->url, sizeof where->url, "%s", reply.location);
            continue;
        } else if (result == HTTP_ANSWERED && reply.status == 416 && n_ranges_refused++ == 0) {
            if (!start_over(t)) return fail("%s: %s", t->partial.text, strerror(errno));
            continue;
        } else if (result == HTTP_ANSWERED && reply.status < 500) {
            /* a signed URL expires: ask again for a new one */
            const bool signed_url = *d->name->repo ? !http_is_hub(where->url) : strcmp(where->url, d->file) != 0;
            relocate = signed_url && reply.status != 429;
            if (!relocate) return hub_refused(d->name, &reply);
        } else if (result == HTTP_UNREACHABLE && t->length == t->begin_length) {
            return hub_unanswered(d->h, result, where->url);
        }
        if (++n_tries >= HTTP_MOST_TRIES)
            return result == HTTP_ANSWERED ? hub_refused(d->name, &reply) : hub_unanswered(d->h, result, where->url);
        if (!http_wait(n_tries - 1)) return EXIT_INTERRUPTED;
        if (relocate) {
            const int status = hub_locate(d->h, d->name, d->revision, d->file, where);
            if (status != EXIT_SUCCESS) return status;
        }
    }
    return EXIT_SUCCESS;
}

/* Check the room on the disk first, because a full disk harms other programs too. */
static int check_room(const transfer *t) {
    struct statvfs disk;
    if (t->d->size == HTTP_UNSAID || fstatvfs(t->file, &disk) != 0) return EXIT_SUCCESS;
    const uint64_t left = t->d->size - t->length, room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (left <= room) return EXIT_SUCCESS;
    return fail("%s: %s are still to be fetched, but the disk of %s has room for only %s", t->d->name->text,
                format_bytes(left).text, store_folder().text, format_bytes(room).text);
}

/* All bytes have arrived: check their hash if it is known, and rename the file. After a power cut it is complete or has
 * its old name. */
static int finish(transfer *t) {
    download *d = t->d;
    unsigned char digest[EVP_MAX_MD_SIZE];
    char sha256[65] = "";
    if (t->length < 4) return fail_without_model(t);
    EVP_DigestFinal_ex(t->hash, digest, NULL);
    for (int i = 0; i < 32; i++) snprintf(sha256 + 2 * i, 3, "%02x", digest[i]);
    if (*d->sha256 && strcasecmp(d->sha256, sha256) != 0)
        return fail_wrong(t, "the bytes that arrived are not the file's (their SHA-256 differs)");
    strcpy(d->sha256, sha256);
    path_text folder = d->path;
    *strrchr(folder.text, '/') = '\0';
    if (fsync(t->file) != 0 || rename(t->partial.text, d->path.text) != 0)
        return fail("%s: %s", d->path.text, strerror(errno));
    const int opened = open(folder.text, O_RDONLY | O_CLOEXEC);
    if (opened >= 0) {
        fsync(opened);
        close(opened);
    }
    return EXIT_SUCCESS;
}

/* The bytes of an earlier run belong to this file if the commit or the ETag is the same. */
static path_text partial_of(const download *d, const location *where) {
    if (*d->name->repo) return path_of("%s.partial", d->path.text);
    char tag[41] = "";
    size_t n = 0;
    for (const char *c = where->commit; *c && n + 1 < sizeof tag; c++)
        if ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z')) tag[n++] = *c;
    return path_of("%s.%s.partial", d->path.text, *tag ? tag : "new");
}

static int transfer_file(transfer *t, location *where) {
    download *d = t->d;
    t->partial = partial_of(d, where);
    t->file = open(t->partial.text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (t->file < 0) return fail("%s: %s", *t->partial.text ? t->partial.text : d->file, strerror(errno));
    const bool known = *d->name->repo || (*where->commit && d->size != HTTP_UNSAID);
    struct stat about;
    const bool too_long = fstat(t->file, &about) == 0 && d->size != HTTP_UNSAID && (uint64_t)about.st_size > d->size;
    t->hash = EVP_MD_CTX_new();
    if (!t->hash || EVP_DigestInit_ex(t->hash, EVP_sha256(), NULL) != 1) return fail("no SHA-256 in libcrypto");
    int status = EXIT_SUCCESS;
    if (!known || too_long) {
        if (!start_over(t)) status = fail("%s: %s", t->partial.text, strerror(errno));
    } else {
        status = read_part(t);
    }
    if (status == EXIT_SUCCESS && t->length > 0)
        note(d->o, "%s: continuing after %s", d->name->text, format_bytes(t->length).text);
    t->begin_length = t->length;
    t->start = now();
    if (status == EXIT_SUCCESS) status = check_room(t);
    if (status == EXIT_SUCCESS) status = fetch(t, where);
    if (status == EXIT_SUCCESS) draw(t, true);
    if (status == EXIT_SUCCESS) status = finish(t);
    if (status == EXIT_INTERRUPTED)
        fail("stopped; 'mini-cllm pull %s' goes on after %s", d->name->text, format_bytes(t->length).text);
    if (t->length == 0 && status != EXIT_SUCCESS) unlink(t->partial.text);
    return status;
}

int download_file(download *d, const location *where) {
    const path_text lock_path = path_of("%s.lock", d->path.text);
    if (!*lock_path.text || !make_folders(d->path.text))
        return fail("%s: %s", d->path.text, *lock_path.text ? strerror(errno) : "the path is too long");
    int lock = -1;
    bool waited = false;
    int status = take_lock(d, lock_path.text, &waited, &lock);
    if (status != EXIT_SUCCESS) {
        if (lock >= 0) close(lock);
        return status;
    }
    struct stat about;
    const bool there =
        stat(d->path.text, &about) == 0 && (d->size == HTTP_UNSAID || (uint64_t)about.st_size == d->size);
    if (there && (!d->replace || waited)) {
        d->size = (uint64_t)about.st_size;
    } else {
        location found;
        if (where)
            found = *where;
        else
            status = hub_locate(d->h, d->name, d->revision, d->file, &found);
        transfer t = {.d = d, .file = -1};
        if (status == EXIT_SUCCESS) {
            if (*found.sha256) strcpy(d->sha256, found.sha256);
            if (found.size != HTTP_UNSAID) d->size = found.size;
            status = transfer_file(&t, &found);
        }
        EVP_MD_CTX_free(t.hash);
        if (t.file >= 0) close(t.file);
    }
    unlink(lock_path.text);
    close(lock);
    return status;
}
#else
typedef int no_curl; /* a file must not be empty */
#endif
