/* A stoker worker: the prime factors of a number.
 *
 *     payload   {"n": 600851475143}                     (0 < n < 2^64)
 *     result    {"factors": [71, 839, 1471, 6857]}
 *
 * No JSON library: it needs one string and one number of each request, and a value can be skipped without being
 * understood. The id is copied as it stands, still escaped, so that nothing has to be decoded.
 *
 * Build and try:  cc -O2 -o worker worker.c && echo '{"id":"1","payload":{"n":360}}' | ./worker
 */
#define _POSIX_C_SOURCE 200809L /* getline */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *blank(const char *at) { return at + strspn(at, " \t\r\n"); }

/* The byte after the string that opens at `at`, or NULL when it never ends. */
static const char *after_string(const char *at)
{
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && !*++at)
            return NULL;
    return *at ? at + 1 : NULL;
}

/* The byte after the value at `at`, whatever it is; NULL when the line ends before it does. Loops, so that a deep
 * nesting costs no stack. */
static const char *after_value(const char *at)
{
    size_t depth = 0;
    do {
        if (*at == '"') {
            if (!(at = after_string(at)))
                return NULL;
        } else if (*at == '{' || *at == '[') {
            depth++, at++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0)
                return NULL;
            depth--, at++;
        } else if (depth > 0 && *at) {
            at++;
        } else {
            size_t length = strcspn(at, ",]} \t\r\n"); /* a bare number or word */
            if (length == 0)
                return NULL;
            at += length;
        }
    } while (depth > 0);
    return at;
}

/* The value of the member `name` of the object at `at`, or NULL: no object, or no such member. */
static const char *member(const char *at, const char *name)
{
    size_t length = strlen(name);
    if (!at || *at != '{')
        return NULL;
    at = blank(at + 1);
    while (*at == '"') {
        const char *key = at + 1, *end = after_string(at);
        if (!end || *(at = blank(end)) != ':')
            return NULL;
        at = blank(at + 1);
        if ((size_t)(end - 1 - key) == length && memcmp(key, name, length) == 0)
            return at;
        if (!(at = after_value(at)) || *(at = blank(at)) != ',')
            return NULL;
        at = blank(at + 1);
    }
    return NULL;
}

/* A whole number from 1 to 2^64 - 1. Nothing else: neither 1.5, nor 1e3, nor "7". */
static int whole_number(const char *at, uint64_t *n)
{
    char *end;
    if (!at || !isdigit((unsigned char)*at))
        return 0;
    errno = 0;
    unsigned long long value = strtoull(at, &end, 10);
    if (errno || value == 0 || !strchr(",} \t", *end) || !*end)
        return 0;
    *n = value;
    return 1;
}

static void print_factors(uint64_t n)
{
    const char *comma = "";
    for (uint64_t p = 2; p <= n / p; p += 1 + (p & 1)) /* 2, 3, 5, 7, 9 … */
        for (; n % p == 0; n /= p, comma = ",")
            printf("%s%llu", comma, (unsigned long long)p);
    if (n > 1)
        printf("%s%llu", comma, (unsigned long long)n);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) { /* ends when stoker closes stdin: time to go */
        const char *request = blank(line), *id = member(request, "id");
        const char *end = id && *id == '"' ? after_string(id) : NULL;
        uint64_t n;
        if (!end) {
            fprintf(stderr, "not a request: %.80s\n", line); /* stderr is the log; nobody to answer, so give up */
            return 1;
        }
        printf("{\"id\":%.*s,", (int)(end - id), id);
        if (whole_number(member(member(request, "payload"), "n"), &n)) {
            printf("\"status\":\"ok\",\"result\":{\"factors\":[");
            print_factors(n);
            puts("]}}");
        } else {
            puts("\"status\":\"error\",\"retry\":false,"
                 "\"message\":\"the payload must be {\\\"n\\\": a whole number from 1 to 2^64 - 1}\"}");
        }
        fflush(stdout); /* a reply that sits in a buffer was never sent */
    }
    free(line);
    return 0;
}
