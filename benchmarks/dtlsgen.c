/* dtlsgen.c - N LwM2M clients over DTLS 1.2 (OpenSSL's) against any server, and what they cost it.
 *
 * Build:  cc -O2 -std=gnu11 -Wall -Wextra -o dtlsgen dtlsgen.c -lssl -lcrypto             (Linux; Debian: libssl-dev)
 *
 * Usage:  dtlsgen [options] HOST PORT
 *   -n N       clients, each with a socket and an association of its own, default 1000
 *   -w W       so many at a time, default 32
 *   -m MODE    shake: handshakes, nothing more | register (default): handshake and Register | update: and then, in a
 *              phase of its own, empty Updates for
 *   -s SEC     seconds, default 3
 *   -x         shake: end each association as soon as it stands (for servers with one client at a time)
 *   -k HEX     pre-shared key, the same for all; the identity of each is its endpoint name
 *   -K KEY -A CA -D DIR   instead: private key and authority in PEM; the certificates are DIR/0.der, DIR/1.der, ...
 *   -c SUITE   as OpenSSL calls it;  -e PREFIX of endpoint names, default "lg";  -i I source address 127.0.0.I
 *   -P PID     read that process's memory and CPU before and after each phase
 *
 * The last line is JSON. Exit status 0 when nothing was lost or refused, 3 otherwise. Handshakes, requests and their
 * repetitions are OpenSSL's and ours as in loadgen.c; a request is repeated after 2 s, and lost after the fourth time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { SHAKE, REGISTER, UPDATE };
enum { IDLE, SHAKING, ASKING };
static const char LINKS[] = "</>;rt=\"oma.lwm2m\";ct=112,</1/0>,</3/0>,</4/0>,</5/0>,</6/0>,</3303/0>";
static const uint64_t REPEAT = 2000000000u;
enum { TRIES = 4 };

typedef struct {
    int fd, state, tries, length;
    uint16_t mid;
    uint64_t due;
    char location[32];
    unsigned char sent[400];
    SSL *ssl;
} client_t;

static struct {
    int n, w, mode, x, i, pid;
    double s;
    const char *psk, *key, *ca, *dir, *suite, *prefix;
} o = {.n = 1000, .w = 32, .mode = REGISTER, .i = 1, .s = 3, .prefix = "lg"};
static client_t *clients;
static SSL_CTX *context;
static int ep, in_flight, done, failed, is_updating;
static unsigned char psk[64];
static long psk_length;

static void die(const char *format, ...) {
    va_list a;
    va_start(a, format);
    fprintf(stderr, "dtlsgen: ");
    vfprintf(stderr, format, a);
    fputc('\n', stderr);
    va_end(a);
    ERR_print_errors_fp(stderr);
    exit(2);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Of its one thread that works. */
static double cpu_of(int pid) {
    char path[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%llu", &ns) != 1) die("cannot read %s", path);
    fclose(f);
    return ns / 1e9;
}

static double rss_of(int pid) {
    char path[64], line[256];
    double kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    if (!f) die("cannot read %s", path);
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, "VmRSS:", 6)) kb = atof(line + 6);
    fclose(f);
    return kb;
}

static double own_cpu(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void name_of(const client_t *c, char *out, size_t size) {
    snprintf(out, size, "%s%06d", o.prefix, (int)(c - clients));
}

static unsigned on_psk(SSL *ssl, const char *hint, char *identity, unsigned most, unsigned char *key, unsigned room) {
    (void)hint;
    name_of(SSL_get_app_data(ssl), identity, most);
    if (psk_length > room) return 0;
    memcpy(key, psk, psk_length);
    return psk_length;
}

/* ---- CoAP ---- */
static int option(unsigned char *at, int delta, const char *value) {
    int length = strlen(value), n = 1;
    at[0] = delta << 4;
    if (length < 13)
        at[0] |= length;
    else {
        at[0] |= 13;
        at[n++] = length - 13;
    }
    memcpy(at + n, value, length);
    return n + length;
}

static void write_request(client_t *c) {
    unsigned char *p = c->sent;
    int n = 12;
    char name[64], query[80];
    c->mid++;
    p[0] = 0x48;
    p[1] = 2;
    p[2] = c->mid >> 8;
    p[3] = c->mid & 255;
    uint64_t token = (uint64_t)(c - clients) << 16 | c->mid;
    memcpy(p + 4, &token, 8);
    n += option(p + n, 11, "rd");
    if (is_updating)
        n += option(p + n, 0, c->location);
    else {
        p[n++] = 0x11; /* Content-Format */
        p[n++] = 40;
        name_of(c, name, sizeof name);
        snprintf(query, sizeof query, "ep=%s", name);
        n += option(p + n, 3, "lwm2m=1.1");
        n += option(p + n, 0, query);
        n += option(p + n, 0, "lt=86400");
        n += option(p + n, 0, "b=U");
        p[n++] = 0xff;
        memcpy(p + n, LINKS, sizeof LINKS - 1);
        n += sizeof LINKS - 1;
    }
    c->length = n;
}

/* The last segment of Location-Path. */
static void read_location(client_t *c, const unsigned char *p, int n) {
    int number = 0;
    for (int at = 4 + (p[0] & 15); at < n && p[at] != 0xff;) {
        int delta = p[at] >> 4, length = p[at] & 15;
        at++;
        if (delta > 12 || length > 13) die("an answer with options that no server of ours has");
        if (length == 13) length = 13 + p[at++];
        number += delta;
        if (number == 8 && length < (int)sizeof c->location) {
            memcpy(c->location, p + at, length);
            c->location[length] = 0;
        }
        at += length;
    }
}

/* ---- one client ---- */
static void finish(client_t *c, int ok) {
    c->state = IDLE;
    in_flight--;
    if (ok)
        done++;
    else
        failed++;
}

static void ask(client_t *c) {
    write_request(c);
    c->state = ASKING;
    c->tries = 1;
    c->due = now_ns() + REPEAT;
    SSL_write(c->ssl, c->sent, c->length);
}

static void end(client_t *c) {
    SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    close(c->fd);
    c->ssl = NULL;
}

static void shake(client_t *c) {
    int r = SSL_do_handshake(c->ssl);
    if (r == 1) {
        if (o.mode != SHAKE) {
            ask(c);
            return;
        }
        if (o.x) end(c);
        finish(c, 1);
    } else if (SSL_get_error(c->ssl, r) != SSL_ERROR_WANT_READ) {
        ERR_print_errors_fp(stderr);
        finish(c, 0);
    }
}

static void on_answer(client_t *c, const unsigned char *p, int n) {
    if (n < 12 || c->state != ASKING || memcmp(p + 4, c->sent + 4, 8)) return;
    int wanted = is_updating ? 0x44 : 0x41;
    if (p[1] == 0x41) read_location(c, p, n);
    if (p[1] != wanted) fprintf(stderr, "dtlsgen: refused with %d.%02d\n", p[1] >> 5, p[1] & 31);
    finish(c, p[1] == wanted);
}

static void on_readable(client_t *c) {
    unsigned char buffer[2048];
    if (c->ssl && c->state == SHAKING) shake(c);
    while (c->ssl && c->state != SHAKING) {
        int n = SSL_read(c->ssl, buffer, sizeof buffer);
        if (n <= 0) return;
        on_answer(c, buffer, n);
    }
}

static void on_time(client_t *c, uint64_t now) {
    if (c->state == SHAKING && DTLSv1_handle_timeout(c->ssl) < 0) finish(c, 0);
    if (c->state != ASKING || now < c->due) return;
    if (c->tries++ == TRIES) {
        finish(c, 0);
        return;
    }
    c->due = now + REPEAT;
    SSL_write(c->ssl, c->sent, c->length);
}

static void open_client(client_t *c, const struct addrinfo *to) {
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u + o.i)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0 || bind(c->fd, (void *)&from, sizeof from) || connect(c->fd, to->ai_addr, to->ai_addrlen))
        die("socket: %s", strerror(errno));
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &event)) die("epoll: %s", strerror(errno));
    c->ssl = SSL_new(context);
    BIO *bio = BIO_new_dgram(c->fd, BIO_NOCLOSE);
    if (!c->ssl || !bio) die("out of memory");
    BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, to->ai_addr);
    SSL_set_bio(c->ssl, bio, bio);
    SSL_set_app_data(c->ssl, c);
    SSL_set_options(c->ssl, SSL_OP_NO_QUERY_MTU);
    DTLS_set_link_mtu(c->ssl, 1400);
    SSL_set_connect_state(c->ssl);
    if (o.dir) {
        char path[512];
        snprintf(path, sizeof path, "%s/%d.der", o.dir, (int)(c - clients));
        if (SSL_use_certificate_file(c->ssl, path, SSL_FILETYPE_ASN1) != 1) die("%s", path);
        if (SSL_use_PrivateKey_file(c->ssl, o.key, SSL_FILETYPE_PEM) != 1) die("%s", o.key);
    }
}

/* ---- phases ---- */
static void begin(client_t *c) {
    in_flight++;
    if (is_updating) {
        ask(c);
        return;
    }
    c->state = SHAKING;
    shake(c);
}

/* Until each client had its turn, or until a time. */
static void run(uint64_t until) {
    struct epoll_event events[64];
    uint64_t checked = now_ns(), now = checked;
    int next = 0;
    while (in_flight || (until ? now < until : next < o.n)) {
        while (in_flight < o.w && (until ? now < until : next < o.n)) {
            client_t *c = &clients[next++ % o.n];
            if (c->state == IDLE) begin(c);
        }
        int n = epoll_wait(ep, events, 64, 100);
        for (int k = 0; k < n; k++) on_readable(events[k].data.ptr);
        now = now_ns();
        if (now - checked > 100000000u) {
            checked = now;
            for (int k = 0; k < o.n; k++)
                if (clients[k].state != IDLE) on_time(&clients[k], now);
        }
    }
}

static void phase(const char *name, double seconds, const char *comma) {
    done = failed = 0;
    double own = own_cpu(), cpu = o.pid ? cpu_of(o.pid) : 0;
    uint64_t started = now_ns();
    run(seconds > 0 ? started + (uint64_t)(seconds * 1e9) : 0);
    double s = (now_ns() - started) / 1e9;
    printf("\"%s\":{\"ok\":%d,\"failed\":%d,\"s\":%.4f,\"server_cpu_s\":%.4f,\"own_cpu\":%.3f}%s", name, done, failed, s,
           o.pid ? cpu_of(o.pid) - cpu : 0, (own_cpu() - own) / s, comma);
}

static void prepare(void) {
    context = SSL_CTX_new(DTLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION)) die("no DTLS 1.2");
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_security_level(context, 0);
    if (o.suite && !SSL_CTX_set_cipher_list(context, o.suite)) die("no such suite: %s", o.suite);
    if (o.psk) {
        unsigned char *key = OPENSSL_hexstr2buf(o.psk, &psk_length);
        if (!key || psk_length > (long)sizeof psk) die("-k wants up to %zu bytes in hexadecimal", sizeof psk);
        memcpy(psk, key, psk_length);
        OPENSSL_free(key);
        SSL_CTX_set_psk_client_callback(context, on_psk);
    }
    if (o.ca) {
        if (!SSL_CTX_load_verify_locations(context, o.ca, NULL)) die("%s", o.ca);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    }
    clients = calloc(o.n, sizeof *clients);
    ep = epoll_create1(0);
    if (!clients || ep < 0) die("out of memory");
}

static void raise_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
    int letter;
    while ((letter = getopt(argc, argv, "n:w:m:s:xk:K:A:D:c:e:i:P:")) != -1) switch (letter) {
        case 'n':
            o.n = atoi(optarg);
            break;
        case 'w':
            o.w = atoi(optarg);
            break;
        case 'm':
            o.mode = !strcmp(optarg, "shake") ? SHAKE : !strcmp(optarg, "update") ? UPDATE : REGISTER;
            break;
        case 's':
            o.s = atof(optarg);
            break;
        case 'x':
            o.x = 1;
            break;
        case 'k':
            o.psk = optarg;
            break;
        case 'K':
            o.key = optarg;
            break;
        case 'A':
            o.ca = optarg;
            break;
        case 'D':
            o.dir = optarg;
            break;
        case 'c':
            o.suite = optarg;
            break;
        case 'e':
            o.prefix = optarg;
            break;
        case 'i':
            o.i = atoi(optarg);
            break;
        case 'P':
            o.pid = atoi(optarg);
            break;
        default:
            fprintf(stderr, "usage: see the comment at the top of dtlsgen.c\n");
            return 2;
        }
    if (argc - optind != 2 || o.n < 1 || o.w < 1 || !o.psk == !o.dir) die("see the comment at the top of dtlsgen.c");
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_DGRAM}, *to;
    int e = getaddrinfo(argv[optind], argv[optind + 1], &hints, &to);
    if (e) die("%s", gai_strerror(e));
    raise_limit();
    prepare();
    for (int k = 0; k < o.n; k++) open_client(&clients[k], to);
    double rss = o.pid ? rss_of(o.pid) : 0;
    printf("{");
    phase(o.mode == SHAKE ? "shake" : "register", 0, ",");
    int bad = failed;
    usleep(300000);
    double grown = o.pid ? rss_of(o.pid) - rss : 0;
    if (o.mode == UPDATE && !bad) {
        is_updating = 1;
        phase("update", o.s, ",");
        bad += failed;
    }
    printf("\"bytes_per_client\":%.0f}\n", 1024 * grown / o.n);
    return bad ? 3 : 0;
}
