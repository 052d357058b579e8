/* A stoker worker in C: three kinds of jobs, and every kind of reply.
 *
 *     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
 *     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
 *     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
 *
 * JSON by Jansson (Debian: libjansson-dev). Build and try:
 *     cc -O2 -o worker worker.c -ljansson
 *     echo '{"id":"1","payload":{"kind":"factor","n":360}}' | ./worker
 */
#define _POSIX_C_SOURCE 200809L /* getline, fdopen */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (8 * 1024 * 1024)       /* bytes of a file between two words about progress */
#define MAX_SAFE ((1LL << 53) - 1)    /* beyond it other languages round, those that submit jobs included */
#define LATER_SECS 30

static FILE *replies;

/* Writes the reply and lets go of it. One that sits in a buffer was never sent, hence the flush. */
static void send_reply(json_t *id, json_t *reply)
{
    if (!reply || json_object_set(reply, "id", id) || json_dumpf(reply, replies, JSON_COMPACT)
        || putc('\n', replies) == EOF || fflush(replies)) {
        fputs("cannot write a reply\n", stderr);
        exit(1);
    }
    json_decref(reply);
}

static json_t *ok(json_t *result) { return json_pack("{s:s, s:o}", "status", "ok", "result", result); }

/* The payload is at fault: it will fail the same way every time. */
static json_t *refused(const char *message)
{
    return json_pack("{s:s, s:s, s:b}", "status", "error", "message", message, "retry", 0);
}

static json_t *failed(int number)
{
    if (number == ENOENT || number == ENOTDIR || number == EISDIR)
        return refused(strerror(number));
    return json_pack("{s:s, s:s}", "status", "error", "message", strerror(number)); /* the backoff tries again */
}

/* The number of characters in so many bytes of UTF-8: those that do not continue one. */
static size_t characters(const char *text, size_t bytes)
{
    size_t count = 0;
    for (size_t at = 0; at < bytes; at++)
        count += ((unsigned char)text[at] & 0xC0) != 0x80;
    return count;
}

static int is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); } /* isspace depends on the locale */

static json_t *words(const json_t *payload)
{
    const json_t *value = json_object_get(payload, "text");
    if (!json_is_string(value))
        return refused("text: expected a string");
    const char *text = json_string_value(value), *longest = text;
    size_t bytes = json_string_length(value), most = 0, longest_bytes = 0; /* not strlen: "\u0000" is a character */
    json_int_t found = 0;
    for (size_t at = 0, end; at < bytes; at = end) {
        for (end = at; end < bytes && !is_space(text[end]); end++)
            ;
        if (end == at) {
            end++;
            continue;
        }
        size_t length = characters(text + at, end - at);
        if (length > most)
            most = length, longest = text + at, longest_bytes = end - at;
        found++;
    }
    return ok(json_pack("{s:I, s:I, s:s%}", "characters", (json_int_t)characters(text, bytes), "words", found,
                        "longest", longest, longest_bytes));
}

static json_t *factor(const json_t *payload)
{
    const json_t *value = json_object_get(payload, "n");
    json_int_t n = json_integer_value(value); /* 0 for whatever is no integer */
    if (n < 1 || n > MAX_SAFE)
        return refused("n: expected a whole number from 1 to 2^53 - 1");
    json_t *factors = json_array();
    for (json_int_t p = 2; p <= n / p; p += 1 + (p & 1)) /* 2, 3, 5, 7, 9 … */
        for (; n % p == 0; n /= p)
            json_array_append_new(factors, json_integer(p));
    if (n > 1)
        json_array_append_new(factors, json_integer(n));
    return ok(json_pack("{s:o}", "factors", factors));
}

static int busy(void)
{
    const char *text = getenv("MAX_LOAD");
    double limit = text ? atof(text) : 50, load = -1;
    FILE *file = fopen("/proc/loadavg", "r"); /* Linux only; elsewhere it is never busy */
    if (file) {
        if (fscanf(file, "%lf", &load) != 1)
            load = -1;
        fclose(file);
    }
    return load >= limit;
}

/* Up to PIECE bytes into `piece`; fewer at the end of the file only. -1 on error. */
static ssize_t read_piece(int file, char *piece)
{
    ssize_t size = 0, got;
    while (size < PIECE && (got = read(file, piece + size, (size_t)(PIECE - size))) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        size += got;
    }
    return size;
}

static json_t *count_in(json_t *id, int file, char *piece)
{
    struct stat about;
    if (fstat(file, &about))
        return failed(errno);
    json_int_t lines = 0, bytes = 0, total = about.st_size;
    ssize_t size;
    while ((size = read_piece(file, piece)) > 0) {
        for (const char *at = piece; (at = memchr(at, '\n', (size_t)(piece + size - at))); at++)
            lines++;
        bytes += size;
        if (size == PIECE)
            send_reply(id, json_pack("{s:s, s:o, s:I, s:I}", "status", "progress", "progress",
                                     total ? json_real((double)bytes / (double)total) : json_null(),
                                     "done", bytes, "total", total));
    }
    return size < 0 ? failed(errno) : ok(json_pack("{s:I, s:I}", "lines", lines, "bytes", bytes));
}

static json_t *count(json_t *id, const json_t *payload)
{
    const json_t *value = json_object_get(payload, "path");
    const char *path = json_string_value(value);
    if (!path || strlen(path) != json_string_length(value)) /* a "\u0000" would cut it short */
        return refused("path: expected the name of a file");
    if (busy())
        return json_pack("{s:s, s:i}", "status", "throttled", "retry_after_secs", LATER_SECS);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return failed(errno);
    static char piece[PIECE];
    json_t *reply = count_in(id, file, piece);
    close(file);
    return reply;
}

static json_t *answer(json_t *id, const json_t *payload)
{
    const char *kind = json_string_value(json_object_get(payload, "kind")); /* NULL for whatever has none */
    if (kind && strcmp(kind, "words") == 0)
        return words(payload);
    if (kind && strcmp(kind, "factor") == 0)
        return factor(payload);
    if (kind && strcmp(kind, "count") == 0)
        return count(id, payload);
    return refused("kind: expected words, factor or count");
}

/* Answers one request. Jansson does not read all of JSON (1e999, say, or a "\u0000" in a member's name); then the id
 * is cut out by its place: it comes first, and nothing in it is escaped. */
static void serve(const char *line, size_t length)
{
    static const char prefix[] = "{\"id\":\"";
    const char *start = line + sizeof prefix - 1, *end;
    json_error_t error;
    json_t *request = json_loadb(line, length, JSON_ALLOW_NUL, &error), *id;
    if (request) {
        id = json_object_get(request, "id");
        send_reply(id, answer(id, json_object_get(request, "payload")));
    } else if (strncmp(line, prefix, sizeof prefix - 1) == 0 && (end = strchr(start, '"'))) {
        id = json_stringn(start, (size_t)(end - start));
        send_reply(id, refused(error.text));
        json_decref(id);
    } else {
        fprintf(stderr, "not a request: %.80s\n", line);
        exit(1);
    }
    json_decref(request);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    /* The real stdout is for replies alone; what a library prints goes to the log. */
    if (!(replies = fdopen(dup(1), "w")) || dup2(2, 1) < 0) {
        perror("stdout");
        return 1;
    }
    while ((length = getline(&line, &room, stdin)) > 0) /* ends when stoker closes stdin: time to go */
        serve(line, (size_t)length);
    free(line);
    return 0;
}
