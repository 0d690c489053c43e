/* loadgen.c - simulate N LwM2M 1.1 clients over UDP against any LwM2M server, and measure it.
 *
 * Build:  cc -O2 -std=gnu11 -Wall -Wextra -pthread -o loadgen loadgen.c        (Linux, no dependencies)
 *
 * Usage:  loadgen [options] HOST PORT
 *   -n N       clients (endpoints), default 1000
 *   -t T       threads, default 1 (clients are split between them)
 *   -w W       window: requests in flight per thread, default 32 (never more than one per client)
 *   -c C       clients per source port, default 1; raised by itself where the open-file limit is too low
 *   -a A       IPv4 source addresses 127.0.0.1 .. 127.0.0.A in turn, default 1 (port limit is per address)
 *   -i I       the first of them is 127.0.0.I, default 1 (message IDs of an earlier run are then no duplicates)
 *   -m MODE    steady state: update (default) | send (LwM2M Send, POST /dp) | answer (client sends nothing by
 *              itself; it answers the server's requests and streams notifications) | none (register, then leave) |
 *              get (no registration: GET coap://HOST:PORT/PATH, PATH of one segment from -p, for any CoAP server)
 *   -s SEC     length of the steady state, default 5;  -u ROUNDS  instead: that many requests per client
 *   -q RATE    open loop: RATE steady requests/s in all (latency then counts from the planned instant);
 *              default closed loop, as fast as the window lets
 *   -r RATE    notifications/s in all, over the observations the server has made; "max" = all Confirmable, one
 *              in flight per observation, W per thread (so the rate is the server's);  default 0 = none
 *   -O COUNT   do not notify before there are that many observations, default 1
 *   -C PCT     share of Confirmable among the notifications at a numeric rate, default 0
 *   -f FMT     format where the server gives no Accept, and of notifications: text | senml | tlv, default text
 *              (an Accept of 0, 60, 110, 112 or 11542 is honoured)
 *   -T MS -R K retransmit a request after MS*(1..1.5), doubling, at most K times; default 2000, 4
 *   -l LT      lifetime, default 86400;   -e PREFIX  endpoint prefix, default "lg";   -b B binding, default U
 *   -o LINKS   registration payload (link format);   -Q queue mode flag in Register;   -p PATH of -m get, default time
 *   -L PCT     drop that share of outgoing datagrams (seeded);   -S SEED default 1
 *   -P PID     read that process's RSS and CPU around each phase: bytes per client, CPU us per request
 *   -k         keep the registrations (no De-register)
 *   -v         one progress line a second;   -W SEC wait between registration and steady state
 * It prints a line per phase and last one line of JSON.  Exit status 0 when nothing was lost or refused, 3 otherwise.
 * Requests that a server makes are answered in every phase: Read (and Read of an instance), Observe, Cancel, Discover,
 * Write, Write-Attributes, Execute, Create, Delete, ping; Read-Composite/Observe-Composite get 4.05.
 * Ctrl-C once: go on to the De-register; twice: leave.  A request that was acknowledged but not answered in 10 s is lost.
 * Latency is first transmission to response, retransmissions included.  Same seed, same bytes on the wire (up to the
 * order in which answers arrive).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
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

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
enum { OP_REG, OP_STEADY, OP_DEREG, NPH };
enum { M_UPDATE, M_SEND, M_ANSWER, M_NONE, M_GET };
enum { F_TEXT = 0, F_CBOR = 60, F_SJSON = 110, F_SCBOR = 112, F_TLV = 11542, F_LINK = 40 };
#define HB (64 * 48)
typedef struct {
    u64 n, ok, refused, lost, rexmit;
    u64 h[HB];
    u64 max;
    u32 codes[256];
} stat_t;
typedef struct obs {
    int sock;
    u8 tok[8], tkl;
    u16 path[4];
    int np, fmt, live;
    u32 seq;
    u16 mid;
    int wait, tries;
    u64 t0, due;
    u8 buf[256];
    int len;
    int next;
} obs_t;
typedef struct {
    int fd;
    u16 mid;
    u32 mids;
    int obs;
} sock_t;
typedef struct {
    int sock;
    u8 reg, busy;
    u8 *loc;
} cli_t; /* loc: [n][len bytes]... Location-Path */
typedef struct {
    int used, cli, tries, acked, len;
    u16 mid;
    u64 tok, t0, due;
    u8 buf[640];
} slot_t;
typedef struct {
    int id;
    pthread_t th;
    int ep;
    cli_t *c;
    int nc, first;
    sock_t *s;
    int ns;
    slot_t *sl;
    int inflight;
    u32 gen;
    u64 rng;
    obs_t *ob;
    int nob, cob, obrr, obwait;
    stat_t st[NPH];
    stat_t nt;
    u64 rq[8], rqn, rq_t0, rq_t1, non_sent, con_acked, rsts, bad, wraps, dropped, n_t0, n_t1;
    int freehint;
} thr_t;

static struct {
    const char *host, *port;
    int n, t, w, c, a, i, mode, rounds, rmax, T, R, lt, keep, verb, fmt, queue, pid, O;
    double s, q, r, C, L, W;
    u64 seed;
    const char *ep, *b, *o, *p;
} g = {.n = 1000,
       .t = 1,
       .w = 32,
       .c = 1,
       .a = 1,
       .i = 1,
       .O = 1,
       .s = 5,
       .T = 2000,
       .R = 4,
       .lt = 86400,
       .seed = 1,
       .ep = "lg",
       .b = "U",
       .p = "time",
       .fmt = F_TEXT,
       .o = "</>;rt=\"oma.lwm2m\";ct=112,</1/0>,</3/0>,</4/0>,</5/0>,</6/0>,</3303/0>"};
static struct sockaddr_storage dst;
static socklen_t dstlen;
static volatile sig_atomic_t stop_flag;
static pthread_barrier_t bar;
static u64 steady_end;
static void on_sig(int s) {
    (void)s;
    stop_flag = stop_flag + 1;
}
static u64 now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static u64 rnd(thr_t *t) {
    u64 z = (t->rng += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}
static double frnd(thr_t *t) { return (rnd(t) >> 11) * (1.0 / 9007199254740992.0); }
static void die(const char *f, ...) {
    va_list a;
    va_start(a, f);
    fprintf(stderr, "loadgen: ");
    vfprintf(stderr, f, a);
    fputc('\n', stderr);
    va_end(a);
    exit(2);
}
static void hadd(stat_t *s, u64 ns) {
    if (ns > s->max) s->max = ns;
    int i;
    if (ns < 64)
        i = ns;
    else {
        int m = 63 - __builtin_clzll(ns);
        i = ((m - 5) << 6) | ((ns >> (m - 6)) & 63);
    }
    if (i >= HB) i = HB - 1;
    s->h[i]++;
}
static double hq(stat_t *s, double q) {
    u64 tot = 0, acc = 0;
    for (int i = 0; i < HB; i++) tot += s->h[i];
    if (!tot) return 0;
    u64 want = (u64)(q * (tot - 1)) + 1;
    for (int i = 0; i < HB; i++) {
        acc += s->h[i];
        if (acc >= want) {
            if (i < 64) return i / 1e3;
            int m = (i >> 6) + 5;
            return (double)((64ull | (i & 63)) << (m - 6)) / 1e3;
        }
    }
    return 0;
}

/* ---- CoAP writing ---- */
typedef struct {
    u8 *p;
    int n, cap, last;
} wr_t;
static void wput(wr_t *w, const void *d, int n) {
    if (w->n + n <= w->cap) {
        memcpy(w->p + w->n, d, n);
        w->n += n;
    }
}
static void wb(wr_t *w, int b) {
    u8 x = b;
    wput(w, &x, 1);
}
static void whead(wr_t *w, u8 *buf, int cap, int type, int code, u16 mid, const void *tok, int tkl) {
    w->p = buf;
    w->n = 0;
    w->cap = cap;
    w->last = 0;
    wb(w, 0x40 | type << 4 | tkl);
    wb(w, code);
    wb(w, mid >> 8);
    wb(w, mid & 255);
    wput(w, tok, tkl);
}
static void wopt(wr_t *w, int num, const void *d, int len) {
    int dl = num - w->last;
    w->last = num;
    int a = dl < 13 ? dl : dl < 269 ? 13 : 14, b = len < 13 ? len : len < 269 ? 13 : 14;
    wb(w, a << 4 | b);
    if (a == 13)
        wb(w, dl - 13);
    else if (a == 14) {
        wb(w, (dl - 269) >> 8);
        wb(w, (dl - 269) & 255);
    }
    if (b == 13)
        wb(w, len - 13);
    else if (b == 14) {
        wb(w, (len - 269) >> 8);
        wb(w, (len - 269) & 255);
    }
    wput(w, d, len);
}
static void wuint(wr_t *w, int num, u32 v) {
    u8 b[4];
    int n = 0;
    for (int s = 24; s >= 0; s -= 8)
        if (n || (v >> s) & 255) b[n++] = v >> s;
    wopt(w, num, b, n);
}
static void wqry(wr_t *w, const char *f, ...) {
    char b[300];
    va_list a;
    va_start(a, f);
    int n = vsnprintf(b, sizeof b, f, a);
    va_end(a);
    wopt(w, 15, b, n < (int)sizeof b ? n : (int)sizeof b - 1);
}

/* ---- values ---- */
typedef struct {
    int rid, kind;
    double d;
    const char *s;
} val_t; /* kind: 0 int, 1 float, 2 string */
static val_t value_of(int oid, int rid, u32 seq) {
    val_t v = {rid, 0, 42, 0};
    if (oid == 3 && (rid <= 3 || rid == 14 || rid == 15 || (rid >= 17 && rid <= 19))) {
        v.kind = 2;
        v.s = rid == 0 ? "loadgen" : rid == 1 ? "sim" : rid == 14 ? "+00:00" : rid == 16 ? "U" : "1.0";
    } else if (oid == 3 && rid == 16) {
        v.kind = 2;
        v.s = "U";
    } else if (oid == 3 && rid == 9)
        v.d = seq % 101;
    else if (oid == 3 && rid == 13)
        v.d = 1700000000 + seq;
    else if ((oid == 3303 && (rid == 5700 || (rid >= 5601 && rid <= 5604))) || oid == 6) {
        v.kind = 1;
        v.d = 20 + (seq % 128) * 0.125;
    } else if (oid == 3303 && rid == 5701) {
        v.kind = 2;
        v.s = "Cel";
    } else if (oid == 1 && rid == 1)
        v.d = g.lt;
    else if (oid == 1 && rid == 0)
        v.d = 1;
    else if (oid == 1 && rid == 6) {
        v.kind = 3;
        v.d = 0;
    } else if (oid == 1 && rid == 7) {
        v.kind = 2;
        v.s = g.b;
    }
    return v;
}
static const int inst3[] = {0, 1, 2, 3, 9, 13, 16, -1}, inst3303[] = {5700, 5701, 5601, 5602, -1},
                 inst1[] = {0, 1, 6, 7, -1}, instx[] = {0, 1, -1};
static void cb_head(wr_t *w, int major, u32 v) {
    if (v < 24)
        wb(w, major << 5 | v);
    else if (v < 256) {
        wb(w, major << 5 | 24);
        wb(w, v);
    } else if (v < 65536) {
        wb(w, major << 5 | 25);
        wb(w, v >> 8);
        wb(w, v);
    } else {
        wb(w, major << 5 | 26);
        for (int s = 24; s >= 0; s -= 8) wb(w, v >> s);
    }
}
static void cb_str(wr_t *w, const char *s) {
    cb_head(w, 3, strlen(s));
    wput(w, s, strlen(s));
}
static void cb_val(wr_t *w, val_t *v) {
    if (v->kind == 2)
        cb_str(w, v->s);
    else if (v->kind == 0)
        cb_head(w, 0, (u32)v->d);
    else if (v->kind == 3)
        wb(w, 0xf4);
    else {
        float f = v->d;
        u32 x;
        memcpy(&x, &f, 4);
        wb(w, 0xfa);
        for (int s = 24; s >= 0; s -= 8) wb(w, x >> s);
    }
}
static void tlv_val(wr_t *w, val_t *v) {
    u8 b[64];
    int n = 0;
    if (v->kind == 2) {
        n = strlen(v->s);
        memcpy(b, v->s, n);
    } else if (v->kind == 3)
        b[n++] = v->d != 0;
    else if (v->kind == 1) {
        float f = v->d;
        u32 x;
        memcpy(&x, &f, 4);
        for (int s = 24; s >= 0; s -= 8) b[n++] = x >> s;
    } else {
        u32 x = v->d;
        int w4 = x < 128 ? 8 : x < 32768 ? 16 : 32;
        for (int s = w4 - 8; s >= 0; s -= 8) b[n++] = x >> s;
    }
    wb(w, 0xc0 | (v->rid > 255 ? 0x20 : 0) | (n < 8 ? n : 8));
    if (v->rid > 255) wb(w, v->rid >> 8);
    wb(w, v->rid);
    if (n >= 8) wb(w, n);
    wput(w, b, n);
}
static void txt_val(char *o, int cap, val_t *v) {
    if (v->kind == 2)
        snprintf(o, cap, "%s", v->s);
    else if (v->kind == 1)
        snprintf(o, cap, "%.3f", v->d);
    else
        snprintf(o, cap, "%.0f", v->d);
}
/* writes Content-Format option and payload; returns the format used, or -1 when there is none that fits */
static int wvalue(wr_t *w, const u16 *path, int np, int fmt, u32 seq) {
    char tmp[80];
    u8 tb[512];
    wr_t b = {tb, 0, sizeof tb, 0};
    const int one[2] = {np >= 3 ? path[2] : 0, -1}, *list = one;
    int oid = path[0], k = 0, iid = np > 1 ? path[1] : 0;
    if (np < 3) {
        list = oid == 3 ? inst3 : oid == 3303 ? inst3303 : oid == 1 ? inst1 : instx;
        if (fmt == F_TEXT || fmt == F_CBOR) fmt = F_SCBOR;
    }
    while (list[k] >= 0) k++;
    if (fmt == F_TEXT) {
        val_t v = value_of(oid, list[0], seq);
        txt_val(tmp, sizeof tmp, &v);
        wput(&b, tmp, strlen(tmp));
    } else if (fmt == F_CBOR) {
        val_t v = value_of(oid, list[0], seq);
        cb_val(&b, &v);
    } else if (fmt == F_TLV)
        for (int i = 0; i < k; i++) {
            val_t v = value_of(oid, list[i], seq);
            tlv_val(&b, &v);
        }
    else if (fmt == F_SCBOR) {
        cb_head(&b, 4, k);
        for (int i = 0; i < k; i++) {
            val_t v = value_of(oid, list[i], seq);
            cb_head(&b, 5, i == 0 ? 3 : 2);
            if (i == 0) {
                wb(&b, 0x21);
                snprintf(tmp, sizeof tmp, "/%d/%d/", oid, iid);
                cb_str(&b, tmp);
            }
            wb(&b, 0);
            snprintf(tmp, sizeof tmp, "%d", list[i]);
            cb_str(&b, tmp);
            wb(&b, v.kind == 2 ? 3 : v.kind == 3 ? 4 : 2);
            cb_val(&b, &v);
        }
    } else if (fmt == F_SJSON) {
        wb(&b, '[');
        for (int i = 0; i < k; i++) {
            val_t v = value_of(oid, list[i], seq);
            char l[160], x[80];
            txt_val(x, sizeof x, &v);
            int n = snprintf(l, sizeof l,
                             v.kind == 2   ? "%s{\"n\":\"/%d/%d/%d\",\"vs\":\"%s\"}"
                             : v.kind == 3 ? "%s{\"n\":\"/%d/%d/%d\",\"vb\":%s}"
                                           : "%s{\"n\":\"/%d/%d/%d\",\"v\":%s}",
                             i ? "," : "", oid, iid, list[i], v.kind == 3 ? "false" : x);
            wput(&b, l, n);
        }
        wb(&b, ']');
    } else
        return -1;
    wuint(w, 12, fmt);
    wb(w, 0xff);
    wput(w, tb, b.n);
    return fmt;
}

/* ---- sending ---- */
static u16 next_mid(thr_t *t, sock_t *s) {
    if (++s->mids % 65536 == 0) t->wraps++;
    return s->mid++;
}
static void xmit(thr_t *t, sock_t *s, const u8 *b, int n) {
    if (g.L > 0 && frnd(t) * 100 < g.L) {
        t->dropped++;
        return;
    }
    for (int k = 0; k < 3; k++) {
        if (send(s->fd, b, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return;
        if (errno == ECONNREFUSED) continue; /* a pending ICMP error; the next try goes out */
        return;
    }
}
static u64 due_at(thr_t *t, u64 now, int tries) {
    return now + (u64)(g.T * 1e6 * (1 + 0.5 * frnd(t)) * (double)(1u << tries));
}
static void wloc(wr_t *w, const u8 *l) {
    int n = *l++;
    while (n--) {
        wopt(w, 11, l + 1, *l);
        l += 1 + *l;
    }
}
static void issue(thr_t *t, int ci, int ph, u64 t0) {
    int i = t->freehint;
    while (t->sl[i].used) i = (i + 1) % g.w;
    t->freehint = (i + 1) % g.w;
    slot_t *x = &t->sl[i];
    cli_t *c = &t->c[ci];
    sock_t *s = &t->s[c->sock];
    x->used = 1;
    x->cli = ci;
    x->tries = x->acked = 0;
    x->mid = next_mid(t, s);
    x->tok = (u64)(u32)(++t->gen) << 32 | (u32)(t->id & 255) << 24 | (0x5a << 16) | (u32)i;
    u8 tok[8];
    for (int k = 0; k < 8; k++) tok[k] = x->tok >> (8 * k);
    wr_t w;
    int get = ph == OP_STEADY && g.mode == M_GET;
    whead(&w, x->buf, sizeof x->buf, 0, ph == OP_DEREG ? 4 : get ? 1 : 2, x->mid, tok, 8);
    if (ph == OP_REG) {
        wopt(&w, 11, "rd", 2);
        wuint(&w, 12, F_LINK);
        wqry(&w, "lwm2m=1.1");
        wqry(&w, "ep=%s%07d", g.ep, t->first + ci);
        wqry(&w, "b=%s", g.b);
        if (g.queue) wqry(&w, "Q");
        wqry(&w, "lt=%d", g.lt);
        wb(&w, 0xff);
        wput(&w, g.o, strlen(g.o));
    } else if (ph == OP_STEADY && g.mode == M_SEND) {
        u16 p[3] = {3303, 0, 5700};
        wopt(&w, 11, "dp", 2);
        wvalue(&w, p, 3, F_SCBOR, t->gen);
    } else if (get)
        wopt(&w, 11, g.p, strlen(g.p));
    else
        wloc(&w, c->loc);
    x->len = w.n;
    x->t0 = t0;
    x->due = due_at(t, now_ns(), 0);
    c->busy = 1;
    t->inflight++;
    t->st[ph].n++;
    xmit(t, s, x->buf, x->len);
}
static void finish(thr_t *t, slot_t *x) {
    t->c[x->cli].busy = 0;
    x->used = 0;
    t->inflight--;
}

/* ---- receiving ---- */
typedef struct {
    int type, code, tkl, np, bad, obs, accept, cf;
    u16 mid, path[8];
    const u8 *tok, *pl;
    int pln;
    u8 loc[256];
    int nloc, locn;
    int sloc, nonnum, nseg;
} msg_t;
static int parse(const u8 *p, int n, msg_t *m) {
    memset(m, 0, sizeof *m);
    m->obs = m->accept = m->cf = -1;
    if (n < 4 || p[0] >> 6 != 1) return 0;
    m->type = p[0] >> 4 & 3;
    m->tkl = p[0] & 15;
    m->code = p[1];
    m->mid = p[2] << 8 | p[3];
    if (m->tkl > 8 || 4 + m->tkl > n) return 0;
    m->tok = p + 4;
    int i = 4 + m->tkl, num = 0;
    m->locn = 1;
    while (i < n && p[i] != 0xff) {
        int d = p[i] >> 4, l = p[i] & 15;
        i++;
        if (d == 13) {
            if (i >= n) return 0;
            d = p[i++] + 13;
        } else if (d == 14) {
            if (i + 1 >= n) return 0;
            d = (p[i] << 8 | p[i + 1]) + 269;
            i += 2;
        } else if (d == 15)
            return 0;
        if (l == 13) {
            if (i >= n) return 0;
            l = p[i++] + 13;
        } else if (l == 14) {
            if (i + 1 >= n) return 0;
            l = (p[i] << 8 | p[i + 1]) + 269;
            i += 2;
        } else if (l == 15)
            return 0;
        if (i + l > n) return 0;
        num += d;
        u32 v = 0;
        for (int k = 0; k < l && k < 4; k++) v = v << 8 | p[i + k];
        if (num == 8) {
            if (m->locn + 1 + l > (int)sizeof m->loc || l > 255) return 0;
            m->loc[m->locn++] = l;
            memcpy(m->loc + m->locn, p + i, l);
            m->locn += l;
            m->nloc++;
        } else if (num == 11) {
            u32 x = 0;
            int okd = l > 0;
            for (int k = 0; k < l; k++) {
                if (p[i + k] < '0' || p[i + k] > '9') okd = 0;
                x = x * 10 + (p[i + k] - '0');
            }
            m->nseg++;
            if (!okd)
                m->nonnum = 1;
            else if (m->np < 8)
                m->path[m->np++] = x;
        } else if (num == 6)
            m->obs = v;
        else if (num == 17)
            m->accept = v;
        else if (num == 12)
            m->cf = v;
        i += l;
    }
    m->loc[0] = m->nloc;
    if (i < n) {
        m->pl = p + i + 1;
        m->pln = n - i - 1;
    }
    return 1;
}
static void obs_kill(thr_t *t, obs_t *o) {
    if (o->wait) t->obwait--;
    o->wait = 0;
    o->live = 0;
}
static obs_t *obs_get(thr_t *t, int si, msg_t *m) {
    for (int k = t->s[si].obs; k >= 0; k = t->ob[k].next) {
        obs_t *o = &t->ob[k];
        if (o->tkl == m->tkl && !memcmp(o->tok, m->tok, m->tkl)) return o;
    }
    return NULL;
}
static obs_t *obs_by_path(thr_t *t, int si, msg_t *m) {
    for (int k = t->s[si].obs; k >= 0; k = t->ob[k].next) {
        obs_t *o = &t->ob[k];
        if (o->live && o->np == m->np && !memcmp(o->path, m->path, 2 * m->np)) return o;
    }
    return NULL;
}
static void answer(thr_t *t, int si, msg_t *m) {
    u8 out[1024];
    wr_t w;
    sock_t *s = &t->s[si];
    u64 now = now_ns();
    if (m->code == 0) {
        if (m->type == 0) {
            u8 r[4] = {0x70, 0, m->mid >> 8, m->mid};
            xmit(t, s, r, 4);
        }
        return;
    }
    if (!t->rqn++) t->rq_t0 = now;
    t->rq_t1 = now;
    t->rq[m->code & 7]++;
    int ty = m->type == 0 ? 2 : 1, code = 0;
    u16 mid = m->type == 0 ? m->mid : next_mid(t, s);
    int fmt = m->accept >= 0 ? m->accept : g.fmt;
    whead(&w, out, sizeof out, ty, 0x45, mid, m->tok, m->tkl);
    if (m->code == 1 && m->nseg == 0)
        code = 0x85;
    else if (m->code == 1 && m->nonnum)
        code = 0x84;
    else if (m->code == 1 && m->accept == F_LINK) {
        char l[200];
        int n = 0, oid = m->path[0];
        const int *r = oid == 3 ? inst3 : oid == 3303 ? inst3303 : oid == 1 ? inst1 : instx;
        if (m->np == 1)
            n = snprintf(l, sizeof l, "</%d>,</%d/0>", oid, oid);
        else
            n = snprintf(l, sizeof l, "</%d/%d>", oid, m->path[1]);
        if (m->np < 3)
            for (; *r >= 0; r++)
                n += snprintf(l + n, sizeof l - n, ",</%d/%d/%d>", oid, m->np > 1 ? m->path[1] : 0, *r);
        else
            n = snprintf(l, sizeof l, "</%d/%d/%d>", oid, m->path[1], m->path[2]);
        wuint(&w, 12, F_LINK);
        wb(&w, 0xff);
        wput(&w, l, n);
    } else if (m->code == 1) {
        u32 seq = 0;
        if (m->obs == 0 && m->np <= 4) {
            obs_t *o = obs_get(t, si, m);
            if (!o) o = obs_by_path(t, si, m);
            if (!o) {
                if (t->nob == t->cob) {
                    t->cob = t->cob ? t->cob * 2 : 256;
                    t->ob = realloc(t->ob, sizeof(obs_t) * t->cob);
                    if (!t->ob) die("out of memory");
                }
                o = &t->ob[t->nob];
                memset(o, 0, sizeof *o);
                o->sock = si;
                o->next = s->obs;
                s->obs = t->nob++;
            }
            memcpy(o->tok, m->tok, m->tkl);
            o->tkl = m->tkl;
            o->np = m->np;
            memcpy(o->path, m->path, 8);
            o->live = 1;
            o->fmt = fmt;
            seq = ++o->seq;
            wuint(&w, 6, seq & 0xffffff);
        } else if (m->obs == 1) {
            obs_t *o = obs_get(t, si, m);
            if (o) obs_kill(t, o);
        }
        if (wvalue(&w, m->path, m->np, fmt, seq ? seq : (u32)t->rqn) < 0) code = 0x86;
    } else if (m->code == 2)
        code = m->np == 1 ? 0x41 : 0x44;
    else if (m->code == 3 || m->code == 7)
        code = 0x44;
    else if (m->code == 4)
        code = 0x42;
    else
        code = 0x85;
    if (code) {
        whead(&w, out, sizeof out, ty, code, mid, m->tok, m->tkl);
        if (code == 0x41) {
            char x[8];
            snprintf(x, sizeof x, "%d", m->path[0]);
            wopt(&w, 8, x, strlen(x));
            wopt(&w, 8, "1", 1);
        }
    }
    xmit(t, s, out, w.n);
}
static void handle(thr_t *t, int si, const u8 *p, int n, int ph) {
    msg_t m;
    if (!parse(p, n, &m)) {
        t->bad++;
        return;
    }
    if ((m.code >> 5) == 0 && m.code && m.type <= 1) {
        answer(t, si, &m);
        return;
    }
    if (m.code == 0) {
        if (m.type == 0) {
            answer(t, si, &m);
            return;
        }
        for (int k = t->s[si].obs; k >= 0; k = t->ob[k].next) {
            obs_t *o = &t->ob[k];
            if (o->live && o->mid == m.mid && o->seq > 1) {
                if (m.type == 3) {
                    t->rsts++;
                    obs_kill(t, o);
                } else if (o->wait) {
                    o->wait = 0;
                    t->obwait--;
                    t->con_acked++;
                    t->n_t1 = now_ns();
                    hadd(&t->nt, t->n_t1 - o->t0);
                }
                return;
            }
        }
        for (int i = 0; i < g.w; i++) {
            slot_t *x = &t->sl[i];
            if (x->used && x->mid == m.mid && t->c[x->cli].sock == si) {
                if (m.type == 2) {
                    x->acked = 1;
                    x->due = now_ns() + 10000000000ull;
                } else {
                    t->st[ph].refused++;
                    t->st[ph].codes[0]++;
                    finish(t, x);
                }
                return;
            }
        }
        return;
    }
    if (m.code >> 5 != 2 && m.code >> 5 != 4 && m.code >> 5 != 5) {
        t->bad++;
        return;
    }
    if (m.type == 0) {
        u8 a[4] = {0x60, 0, m.mid >> 8, m.mid};
        xmit(t, &t->s[si], a, 4);
    }
    if (m.tkl != 8) {
        t->bad++;
        return;
    }
    u64 tok = 0;
    for (int k = 7; k >= 0; k--) tok = tok << 8 | m.tok[k];
    u32 i = tok & 0xffff;
    if (i >= (u32)g.w || !t->sl[i].used || t->sl[i].tok != tok) return; /* late duplicate */
    slot_t *x = &t->sl[i];
    cli_t *c = &t->c[x->cli];
    stat_t *st = &t->st[ph];
    st->codes[m.code]++;
    if (m.code >> 5 == 2) {
        st->ok++;
        u64 nn = now_ns();
        hadd(st, nn > x->t0 ? nn - x->t0 : 0);
        if (ph == OP_REG) {
            free(c->loc);
            c->loc = malloc(m.locn);
            if (!c->loc) die("out of memory");
            memcpy(c->loc, m.loc, m.locn);
            c->reg = m.nloc > 0;
            if (!c->reg) t->bad++;
        } else if (ph == OP_DEREG)
            c->reg = 0;
    } else {
        st->refused++;
        if (ph == OP_STEADY && m.code == 0x84) c->reg = 0;
    }
    finish(t, x);
}
static void pump(thr_t *t, int ms, int ph) {
    struct epoll_event ev[256];
    int k = epoll_wait(t->ep, ev, 256, ms);
    u8 b[2048];
    for (int i = 0; i < k; i++) {
        int si = ev[i].data.u32, lim = g.c > 1 ? 32 : 1;
        while (lim--) {
            ssize_t n = recv(t->s[si].fd, b, sizeof b, MSG_DONTWAIT);
            if (n < 0) break;
            handle(t, si, b, n, ph);
        }
    }
}
static void scan(thr_t *t, u64 now, int ph) {
    if (t->inflight)
        for (int i = 0; i < g.w; i++) {
            slot_t *x = &t->sl[i];
            if (!x->used || x->due > now) continue;
            if (x->acked || x->tries >= g.R) {
                t->st[ph].lost++;
                finish(t, x);
                continue;
            }
            x->tries++;
            t->st[ph].rexmit++;
            x->due = due_at(t, now, x->tries);
            xmit(t, &t->s[t->c[x->cli].sock], x->buf, x->len);
        }
    if (t->obwait)
        for (int k = 0; k < t->nob; k++) {
            obs_t *o = &t->ob[k];
            if (!o->wait || o->due > now) continue;
            if (o->tries >= g.R) {
                t->nt.lost++;
                obs_kill(t, o);
                continue;
            }
            o->tries++;
            t->nt.rexmit++;
            o->due = due_at(t, now, o->tries);
            xmit(t, &t->s[o->sock], o->buf, o->len);
        }
}
static int notify_one(thr_t *t, int con) {
    for (int tries = 0; tries < t->nob; tries++) {
        obs_t *o = &t->ob[t->obrr];
        t->obrr = (t->obrr + 1) % t->nob;
        if (!o->live || o->wait) continue;
        sock_t *s = &t->s[o->sock];
        wr_t w;
        o->mid = next_mid(t, s);
        o->seq++;
        whead(&w, o->buf, sizeof o->buf, con ? 0 : 1, 0x45, o->mid, o->tok, o->tkl);
        wuint(&w, 6, o->seq & 0xffffff);
        wvalue(&w, o->path, o->np, o->fmt, o->seq);
        o->len = w.n;
        u64 now = now_ns();
        if (!t->nt.n++) t->n_t0 = now;
        t->n_t1 = now;
        if (con) {
            o->wait = 1;
            o->tries = 0;
            o->t0 = now;
            o->due = due_at(t, now, 0);
            t->obwait++;
        } else
            t->non_sent++;
        xmit(t, s, o->buf, o->len);
        return 1;
    }
    return 0;
}
static void phase(thr_t *t, int ph) {
    int next = 0;
    long issued = 0;
    u64 lastscan = 0, lastp = now_ns(), start = lastp;
    int nc = t->nc;
    double per = g.q > 0 ? 1e9 * g.t / g.q : 0, nper = g.r > 0 ? 1e9 * g.t / g.r : 0;
    double plan = start, nplan = start;
    u64 last_rq = 0, last_ok = 0, last_nt = 0;
    for (;;) {
        u64 now = now_ns();
        int more = 0, blocked = 0, wait_ms = 5;
        if (ph == OP_STEADY) {
            int active = !stop_flag && (g.rounds > 0 || now < steady_end);
            if (g.mode == M_UPDATE || g.mode == M_SEND || g.mode == M_GET) {
                more = active && (g.rounds <= 0 || issued < (long)g.rounds * nc);
                while (more && t->inflight < g.w) {
                    if (per > 0 && plan > now) {
                        blocked = 1;
                        break;
                    }
                    int tries = 0;
                    while (tries < nc && (t->c[next].busy || !t->c[next].reg)) {
                        if (!t->c[next].reg && g.rounds > 0) issued++;
                        next = (next + 1) % nc;
                        tries++;
                    }
                    if (tries >= nc) {
                        blocked = 1;
                        if (!t->inflight) more = 0;
                        break;
                    }
                    issue(t, next, ph, per > 0 ? (u64)plan : now_ns());
                    issued++;
                    next = (next + 1) % nc;
                    plan += per;
                    if (g.rounds > 0 && issued >= (long)g.rounds * nc) more = 0;
                }
            } else
                more = g.mode == M_ANSWER && active;
            if (active && t->nob && t->nob * g.t >= g.O) {
                if (g.rmax) {
                    int b = 0;
                    while (t->obwait < g.w && b++ < g.w && notify_one(t, 1));
                } else if (nper > 0) {
                    int b = 0;
                    if (nplan < start + 1) nplan = now;
                    while (nplan <= now && b++ < 128) {
                        nplan += nper;
                        if (!notify_one(t, g.C > 0 && frnd(t) * 100 < g.C)) break;
                    }
                }
            }
        } else {
            if (stop_flag) next = nc;
            while (next < nc && t->inflight < g.w) {
                int ci = next++;
                if (ph == OP_DEREG && !t->c[ci].reg) continue;
                issue(t, ci, ph, now_ns());
            }
            more = next < nc;
        }
        if (!more && !t->inflight && (!t->obwait || ph != OP_STEADY)) break;
        if (stop_flag > 1) break;
        if (ph == OP_STEADY && !more && !t->inflight && now > steady_end + 30000000000ull) break;
        if (blocked && per > 0) {
            double d = (plan - now) / 1e6;
            wait_ms = d < 1 ? 0 : d > 5 ? 5 : (int)d;
        }
        if (nper > 0 && t->nob && t->nob * g.t >= g.O) wait_ms = nplan <= now ? 0 : nper < 2e6 ? 1 : wait_ms;
        pump(t, wait_ms, ph);
        now = now_ns();
        if (now - lastscan > 5000000) {
            scan(t, now, ph);
            lastscan = now;
        }
        if (g.verb && t->id == 0 && now - lastp >= 1000000000ull) {
            double d = (now - lastp) / 1e9;
            u64 ok = t->st[ph].ok, nn = t->con_acked + t->non_sent;
            fprintf(stderr, "  [t0] %5.1fs ok/s %.0f answered/s %.0f notified/s %.0f inflight %d obs %d\n",
                    (now - start) / 1e9, (ok - last_ok) / d, (t->rqn - last_rq) / d, (nn - last_nt) / d, t->inflight,
                    t->nob);
            last_ok = ok;
            last_rq = t->rqn;
            last_nt = nn;
            lastp = now;
        }
    }
}
static void *worker(void *a) {
    thr_t *t = a;
    for (int ph = 0; ph < NPH; ph++) {
        pthread_barrier_wait(&bar);
        pthread_barrier_wait(&bar);
        if (!(ph == OP_STEADY && g.mode == M_NONE) && !(ph == OP_DEREG && g.keep) &&
            !(ph != OP_STEADY && g.mode == M_GET))
            phase(t, ph);
        pthread_barrier_wait(&bar);
    }
    return NULL;
}
static void proc(int pid, double *rss_kb, double *cpu_s) {
    *rss_kb = *cpu_s = 0;
    if (!pid) return;
    char p[64], l[512];
    snprintf(p, sizeof p, "/proc/%d/status", pid);
    FILE *f = fopen(p, "r");
    if (!f) return;
    while (fgets(l, sizeof l, f))
        if (!strncmp(l, "VmRSS:", 6)) *rss_kb = atof(l + 6);
    fclose(f);
    snprintf(p, sizeof p, "/proc/%d/stat", pid);
    f = fopen(p, "r");
    if (!f) return;
    if (fgets(l, sizeof l, f)) {
        char *q = strrchr(l, ')');
        unsigned long ut = 0, st = 0;
        if (q && sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st) == 2)
            *cpu_s = (double)(ut + st) / sysconf(_SC_CLK_TCK);
    }
    fclose(f);
}
static double num(const char *s, double lo) {
    char *e;
    double d = strtod(s, &e);
    if (*e || d < lo) die("bad number: %s", s);
    return d;
}

int main(int argc, char **argv) {
    int o;
    while ((o = getopt(argc, argv, "n:t:w:c:a:i:p:O:m:s:u:q:r:C:f:T:R:l:e:b:o:L:S:P:W:Qkvh")) != -1) switch (o) {
        case 'n':
            g.n = num(optarg, 1);
            break;
        case 't':
            g.t = num(optarg, 1);
            break;
        case 'w':
            g.w = num(optarg, 1);
            break;
        case 'c':
            g.c = num(optarg, 1);
            break;
        case 'a':
            g.a = num(optarg, 1);
            break;
        case 'i':
            g.i = num(optarg, 1);
            break;
        case 'O':
            g.O = num(optarg, 1);
            break;
        case 'p':
            g.p = optarg;
            break;
        case 'm':
            g.mode = !strcmp(optarg, "update")   ? M_UPDATE
                     : !strcmp(optarg, "send")   ? M_SEND
                     : !strcmp(optarg, "answer") ? M_ANSWER
                     : !strcmp(optarg, "none")   ? M_NONE
                     : !strcmp(optarg, "get")    ? M_GET
                                                 : (die("bad mode"), 0);
            break;
        case 's':
            g.s = num(optarg, 0);
            break;
        case 'u':
            g.rounds = num(optarg, 1);
            break;
        case 'q':
            g.q = num(optarg, 0);
            break;
        case 'r':
            if (!strcmp(optarg, "max"))
                g.rmax = 1;
            else
                g.r = num(optarg, 0);
            break;
        case 'C':
            g.C = num(optarg, 0);
            break;
        case 'f':
            g.fmt = !strcmp(optarg, "text")    ? F_TEXT
                    : !strcmp(optarg, "senml") ? F_SCBOR
                    : !strcmp(optarg, "tlv")   ? F_TLV
                                               : (die("bad format"), 0);
            break;
        case 'T':
            g.T = num(optarg, 1);
            break;
        case 'R':
            g.R = num(optarg, 0);
            break;
        case 'l':
            g.lt = num(optarg, 1);
            break;
        case 'e':
            g.ep = optarg;
            break;
        case 'b':
            g.b = optarg;
            break;
        case 'o':
            g.o = optarg;
            break;
        case 'L':
            g.L = num(optarg, 0);
            break;
        case 'S':
            g.seed = num(optarg, 0);
            break;
        case 'P':
            g.pid = num(optarg, 1);
            break;
        case 'W':
            g.W = num(optarg, 0);
            break;
        case 'Q':
            g.queue = 1;
            break;
        case 'k':
            g.keep = 1;
            break;
        case 'v':
            g.verb = 1;
            break;
        default:
            fprintf(stderr, "usage: see the comment at the top of loadgen.c\n");
            return 2;
        }
    if (argc - optind != 2) die("HOST and PORT wanted");
    g.host = argv[optind];
    g.port = argv[optind + 1];
    if (g.t > g.n) g.t = g.n;
    if (g.w > 65535) die("window is at most 65535");
    if (g.R > 16) die("at most 16 retransmissions");
    if (strlen(g.o) > 400 || strlen(g.ep) > 60 || strlen(g.b) > 8 || strlen(g.p) > 60)
        die("-o, -e, -b or -p too long");
    if (g.t > 256 || g.i + g.a > 251) die("at most 256 threads and 250 addresses");
    struct addrinfo hi = {.ai_socktype = SOCK_DGRAM}, *ai;
    int e = getaddrinfo(g.host, g.port, &hi, &ai);
    if (e) die("%s", gai_strerror(e));
    memcpy(&dst, ai->ai_addr, ai->ai_addrlen);
    dstlen = ai->ai_addrlen;
    freeaddrinfo(ai);
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    getrlimit(RLIMIT_NOFILE, &rl);
    long maxs = (long)rl.rlim_cur - 64 - g.t, cap = 27000L * g.a;
    if (maxs > cap) maxs = cap;
    while ((long)(g.n + g.c - 1) / g.c > maxs) g.c++;
    signal(SIGINT, on_sig);
    signal(SIGTERM, on_sig);
    signal(SIGPIPE, SIG_IGN);
    pthread_barrier_init(&bar, NULL, g.t + 1);
    thr_t *th = calloc(g.t, sizeof *th);
    if (!th) die("out of memory");
    int at = 0, sk = 0;
    for (int i = 0; i < g.t; i++) {
        thr_t *t = &th[i];
        t->id = i;
        t->first = at;
        t->nc = g.n / g.t + (i < g.n % g.t);
        at += t->nc;
        t->ns = (t->nc + g.c - 1) / g.c;
        t->rng = g.seed * 1000003ull + i;
        t->c = calloc(t->nc, sizeof *t->c);
        t->s = calloc(t->ns, sizeof *t->s);
        t->sl = calloc(g.w, sizeof *t->sl);
        t->ep = epoll_create1(0);
        if (!t->c || !t->s || !t->sl || t->ep < 0) die("out of memory");
        for (int k = 0; k < t->ns; k++, sk++) {
            int fd = socket(dst.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
            if (fd < 0) die("socket %d: %s", sk, strerror(errno));
            if (g.i + g.a > 2 && dst.ss_family == AF_INET) {
                struct sockaddr_in la = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u + g.i + sk % g.a)};
                if (bind(fd, (void *)&la, sizeof la)) die("bind: %s", strerror(errno));
            }
            if (g.c > 1) {
                int sz = 1 << 20;
                setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &sz, sizeof sz);
            }
            if (connect(fd, (void *)&dst, dstlen)) die("connect socket %d: %s (more -a?)", sk, strerror(errno));
            struct epoll_event ev = {.events = EPOLLIN, .data.u32 = k};
            if (epoll_ctl(t->ep, EPOLL_CTL_ADD, fd, &ev)) die("epoll: %s", strerror(errno));
            t->s[k].fd = fd;
            t->s[k].mid = rnd(t);
            t->s[k].obs = -1;
        }
        for (int k = 0; k < t->nc; k++) {
            t->c[k].sock = k / g.c;
            t->c[k].reg = g.mode == M_GET;
        }
        if (pthread_create(&t->th, NULL, worker, t)) die("thread");
    }
    static const char *nm[] = {"register", "steady", "deregister"};
    const char *sname = g.mode == M_SEND ? "send" : g.mode == M_ANSWER ? "answer" : g.mode == M_GET ? "get" : "update";
    double el[NPH] = {0}, rss[NPH + 1], cpu[NPH + 1], own[NPH] = {0};
    proc(g.pid, &rss[0], &cpu[0]);
    char js[6000];
    int jn = 0;
    jn += snprintf(js + jn, sizeof js - jn,
                   "{\"clients\":%d,\"threads\":%d,\"window\":%d,\"per_socket\":%d,\"sockets\":%d,\"seed\":%llu,"
                   "\"rss0_kb\":%.0f",
                   g.n, g.t, g.w, g.c, sk, (unsigned long long)g.seed, rss[0]);
    int badrun = 0;
    printf("clients %d, sockets %d (%d per socket), threads %d, window %d per thread\n", g.n, sk, g.c, g.t, g.w);
    for (int ph = 0; ph < NPH; ph++) {
        pthread_barrier_wait(&bar);
        if (ph == OP_STEADY && g.W > 0) usleep((useconds_t)(g.W * 1e6));
        u64 a = now_ns();
        steady_end = a + (u64)(g.s * 1e9);
        if (stop_flag == 1 && ph == OP_DEREG) stop_flag = 0;
        struct rusage r0, r1;
        getrusage(RUSAGE_SELF, &r0);
        pthread_barrier_wait(&bar);
        pthread_barrier_wait(&bar);
        el[ph] = (now_ns() - a) / 1e9;
        getrusage(RUSAGE_SELF, &r1);
        own[ph] = (r1.ru_utime.tv_sec + r1.ru_stime.tv_sec - r0.ru_utime.tv_sec - r0.ru_stime.tv_sec) +
                  (r1.ru_utime.tv_usec + r1.ru_stime.tv_usec - r0.ru_utime.tv_usec - r0.ru_stime.tv_usec) / 1e6;
        proc(g.pid, &rss[ph + 1], &cpu[ph + 1]);
        stat_t *s = calloc(1, sizeof *s);
        if (!s) die("out of memory");
        for (int i = 0; i < g.t; i++) {
            stat_t *x = &th[i].st[ph];
            s->n += x->n;
            s->ok += x->ok;
            s->refused += x->refused;
            s->lost += x->lost;
            s->rexmit += x->rexmit;
            if (x->max > s->max) s->max = x->max;
            for (int k = 0; k < HB; k++) s->h[k] += x->h[k];
            for (int k = 0; k < 256; k++) s->codes[k] += x->codes[k];
        }
        const char *name = ph == OP_STEADY ? sname : nm[ph];
        if (s->n) {
            printf("%-10s %8llu ok of %llu in %.3f s = %.0f/s | latency us p50 %.0f p90 %.0f p99 %.0f max %.0f | "
                   "refused %llu lost %llu retransmitted %llu | own CPU %.0f%%",
                   name, (unsigned long long)s->ok, (unsigned long long)s->n, el[ph], s->ok / el[ph], hq(s, .5),
                   hq(s, .9), hq(s, .99), s->max / 1e3, (unsigned long long)s->refused, (unsigned long long)s->lost,
                   (unsigned long long)s->rexmit, 100 * own[ph] / el[ph]);
            if (g.pid)
                printf(" | server CPU %.0f%% %.1f us/req", 100 * (cpu[ph + 1] - cpu[ph]) / el[ph],
                       s->ok ? 1e6 * (cpu[ph + 1] - cpu[ph]) / s->ok : 0);
            printf("\n");
            if (s->refused) {
                printf("           refused:");
                for (int k = 0; k < 256; k++)
                    if (s->codes[k] && k >> 5 != 2) printf(" %d.%02d x%u", k >> 5, k & 31, s->codes[k]);
                printf("\n");
            }
            jn += snprintf(js + jn, sizeof js - jn,
                           ",\"%s\":{\"ok\":%llu,\"sent\":%llu,\"s\":%.4f,\"per_s\":%.1f,\"p50_us\":%.1f,\"p90_us\":%"
                           ".1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"refused\":%llu,\"lost\":%llu,\"retransmitted\":%"
                           "llu,\"own_cpu\":%.3f,\"server_cpu_s\":%.3f}",
                           name, (unsigned long long)s->ok, (unsigned long long)s->n, el[ph], s->ok / el[ph],
                           hq(s, .5), hq(s, .9), hq(s, .99), s->max / 1e3, (unsigned long long)s->refused,
                           (unsigned long long)s->lost, (unsigned long long)s->rexmit, own[ph] / el[ph],
                           cpu[ph + 1] - cpu[ph]);
        }
        if (s->refused || s->lost) badrun = 1;
        if (ph == OP_REG && g.pid) {
            double bpc = s->ok ? 1024 * (rss[1] - rss[0]) / s->ok : 0;
            printf("server RSS %.0f -> %.0f KiB, %.0f bytes per registered client\n", rss[0], rss[1], bpc);
            jn += snprintf(js + jn, sizeof js - jn, ",\"rss1_kb\":%.0f,\"bytes_per_client\":%.0f", rss[1], bpc);
        }
        free(s);
        fflush(stdout);
    }
    u64 rqn = 0, r[8] = {0}, t0 = ~0ull, t1 = 0, nn = 0, non = 0, ack = 0, rst = 0, nl = 0, nr = 0, wr = 0, bad = 0,
        dr = 0, n0 = ~0ull, n1 = 0;
    int nob = 0;
    stat_t *h = calloc(1, sizeof *h);
    if (!h) die("out of memory");
    for (int i = 0; i < g.t; i++) {
        thr_t *t = &th[i];
        pthread_join(t->th, NULL);
        rqn += t->rqn;
        for (int k = 0; k < 8; k++) r[k] += t->rq[k];
        if (t->rqn) {
            if (t->rq_t0 < t0) t0 = t->rq_t0;
            if (t->rq_t1 > t1) t1 = t->rq_t1;
        }
        if (t->nt.n) {
            if (t->n_t0 < n0) n0 = t->n_t0;
            if (t->n_t1 > n1) n1 = t->n_t1;
        }
        nn += t->nt.n;
        non += t->non_sent;
        ack += t->con_acked;
        rst += t->rsts;
        nl += t->nt.lost;
        nr += t->nt.rexmit;
        wr += t->wraps;
        bad += t->bad;
        dr += t->dropped;
        nob += t->nob;
        for (int k = 0; k < HB; k++) h->h[k] += t->nt.h[k];
    }
    if (rqn) {
        double d = (t1 - t0) / 1e9;
        printf("answered   %8llu server requests in %.3f s = %.0f/s (GET %llu POST %llu PUT %llu DELETE %llu FETCH "
               "%llu iPATCH %llu), observations %d\n",
               (unsigned long long)rqn, d, d > 0 ? rqn / d : 0, (unsigned long long)r[1], (unsigned long long)r[2],
               (unsigned long long)r[3], (unsigned long long)r[4], (unsigned long long)r[5], (unsigned long long)r[7],
               nob);
        jn += snprintf(js + jn, sizeof js - jn,
                       ",\"answered\":{\"n\":%llu,\"s\":%.4f,\"per_s\":%.1f,\"observations\":%d}",
                       (unsigned long long)rqn, d, d > 0 ? rqn / d : 0, nob);
    }
    if (nn) {
        double d = (n1 - n0) / 1e9;
        printf("notified   %8llu in %.3f s = %.0f/s (NON %llu, CON acknowledged %llu, ack latency us p50 %.0f p99 "
               "%.0f), reset %llu, lost %llu, retransmitted %llu\n",
               (unsigned long long)nn, d, d > 0 ? nn / d : 0, (unsigned long long)non, (unsigned long long)ack,
               hq(h, .5), hq(h, .99), (unsigned long long)rst, (unsigned long long)nl, (unsigned long long)nr);
        jn +=
            snprintf(js + jn, sizeof js - jn,
                     ",\"notified\":{\"n\":%llu,\"s\":%.4f,\"per_s\":%.1f,\"non\":%llu,\"con_acked\":%llu,\"p50_us\":"
                     "%.1f,\"p99_us\":%.1f,\"reset\":%llu,\"lost\":%llu}",
                     (unsigned long long)nn, d, d > 0 ? nn / d : 0, (unsigned long long)non, (unsigned long long)ack,
                     hq(h, .5), hq(h, .99), (unsigned long long)rst, (unsigned long long)nl);
    }
    if (wr)
        printf("note: message IDs wrapped %llu times on one socket or another; inside 247 s a server may rightly "
               "take reused ones for duplicates (use -c 1 or more clients)\n",
               (unsigned long long)wr);
    if (bad || dr)
        printf("note: unexpected messages %llu, datagrams dropped on purpose %llu\n", (unsigned long long)bad,
               (unsigned long long)dr);
    if (g.pid) {
        printf("server RSS at the end %.0f KiB\n", rss[NPH]);
        jn += snprintf(js + jn, sizeof js - jn, ",\"rss_end_kb\":%.0f", rss[NPH]);
    }
    printf("%s}\n", js);
    return badrun ? 3 : 0;
}
