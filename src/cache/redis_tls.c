/*
 * redis_tls.c: TLS on a connection to Redis, by hiredis and OpenSSL.
 *
 * hiredis carries the bytes. Whom to trust is set here, on an SSL object that is handed to it,
 * since hiredis before 1.4 takes any name on a certificate that somebody trusted has signed.
 *
 * Nothing here waits: the socket does not block, and redis_link.c knows the deadline. OpenSSL
 * writes to the socket without MSG_NOSIGNAL: the process ignores SIGPIPE (base/signals.h).
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cache/redis_parts.h"

enum {
    SEND_BYTES = 64 * 1024, /* that hiredis holds at once; four records */
    FIRST_ALERT = 1000,     /* reasons from here on are what the other side said */
};

struct redis_tls {
    SSL_CTX *context;
    bool insecure;
};

struct redis_secure {
    redisContext *context; /* owns `ssl`, and knows the socket */
    SSL *ssl;
    const char *expected; /* name; a text of the options */
};

#define TEXT_OF(number) #number
#define VERSION_OF(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

bool redis_speaks_tls(void)
{
    return true;
}

const char *redis_library(void)
{
    return VERSION_OF(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH) " with TLS";
}

/* ---- files ---- */

static const char *reason_of(unsigned long code)
{
    const char *reason = ERR_reason_error_string(code);
    return reason ? reason : "OpenSSL does not say why";
}

static enum kol_status refuse_file(const char *what, const char *path, struct kol_error *err)
{
    return kol_fail(err, KOL_INVALID, "%s %s cannot be used for TLS to Redis: %s", what, path,
                    reason_of(ERR_peek_last_error()));
}

/* A key that is locked by a passphrase is of no use; nobody is asked for it on a terminal. */
static int no_passphrase(char *out, int size, int writing, void *user)
{
    (void)out, (void)size, (void)writing, (void)user;
    return 0;
}

static enum kol_status read_files(SSL_CTX *context, const struct redis_options *options,
                                  struct kol_error *err)
{
    const char *ca = options->tls_ca, *own = options->tls_certificate, *key = options->tls_key;
    ERR_clear_error();
    if (ca && SSL_CTX_load_verify_locations(context, ca, NULL) != 1) {
        return refuse_file("the authorities in", ca, err);
    }
    if (!ca && SSL_CTX_set_default_verify_paths(context) != 1) {
        return refuse_file("the authorities of", "this system", err);
    }
    if (own && SSL_CTX_use_certificate_chain_file(context, own) != 1) {
        return refuse_file("the certificate in", own, err);
    }
    /* Compares it with the certificate, too. */
    if (key && SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        return refuse_file("the key in", key, err);
    }
    return KOL_OK;
}

enum kol_status redis_tls_new(const struct redis_options *options, struct redis_tls **out,
                              struct kol_error *err)
{
    *out = NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        return kol_fail(err, KOL_IO, "OpenSSL cannot begin: %s", reason_of(ERR_peek_last_error()));
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, options->tls_insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
    /* An answer says itself where it ends. */
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
    const enum kol_status status = read_files(context, options, err);
    if (status != KOL_OK) {
        SSL_CTX_free(context);
        return status;
    }
    *out = mem_zalloc(1, sizeof **out);
    **out = (struct redis_tls){context, options->tls_insecure};
    return KOL_OK;
}

void redis_tls_free(struct redis_tls **tls)
{
    if (*tls) {
        SSL_CTX_free((*tls)->context);
        free(*tls);
        *tls = NULL;
    }
}

/* ---- failures ---- */

static enum kol_status refuse_certificate(const struct redis_secure *secure, long verdict,
                                          struct kol_error *err)
{
    const char *what = X509_verify_cert_error_string(verdict);
    switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return kol_fail(err, KOL_USAGE,
                        "its certificate is not for `%s` (%s): name the server as its certificate "
                        "does, or say by tls_name what that is",
                        secure->expected, what);
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return kol_fail(err, KOL_USAGE, "its certificate is of another time (%s): renew it", what);
    default:
        return kol_fail(err, KOL_USAGE,
                        "its certificate is not trusted (%s): name the file of the authority that "
                        "signed it by tls_ca",
                        what);
    }
}

/* What OpenSSL left behind a call that failed, or the socket (`failure`: errno then). */
static enum kol_status fail_tls(const struct redis_secure *secure, int failure,
                                struct kol_error *err)
{
    const unsigned long code = ERR_peek_error();
    const int reason = ERR_GET_REASON(code);
    const long verdict = SSL_get_verify_result(secure->ssl);
    if (code && reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        return refuse_certificate(secure, verdict, err);
    }
    if (code && reason >= FIRST_ALERT) {
        return kol_fail(err, KOL_USAGE,
                        "the server refused TLS (%s): if it wants a certificate of its clients, "
                        "name one that it trusts by tls_certificate and tls_key",
                        reason_of(code));
    }
    if (code && reason == SSL_R_WRONG_VERSION_NUMBER) {
        return kol_fail(err, KOL_USAGE,
                        "what answers there speaks no TLS: name the port on which it does");
    }
    if (code) {
        return kol_fail(err, KOL_IO, "TLS failed: %s", reason_of(code));
    }
    return failure ? kol_fail_errno(err, failure, "the connection was lost")
                   : kol_fail(err, KOL_IO, "the server closed the connection");
}

/* ---- connections ---- */

/* Says which name the certificate must have; a host is told to the server too (SNI). */
static bool expect(SSL *ssl, const char *name, bool insecure)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, name) == 1) {
        return true;
    }
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name) == 1 &&
           (insecure || X509_VERIFY_PARAM_set1_host(rules, name, strlen(name)) == 1);
}

enum kol_status redis_tls_begin(const struct redis_tls *tls, const struct redis_options *options,
                                int fd, struct redis_secure **out, struct kol_error *err)
{
    const redisOptions socket = {
        .type = REDIS_CONN_USERFD, .options = REDIS_OPT_NONBLOCK, .endpoint.fd = fd};
    const char *expected = options->tls_name ? options->tls_name : options->host;
    enum kol_status status = KOL_OK;
    *out = NULL;
    ERR_clear_error();
    SSL *ssl = SSL_new(tls->context);
    redisContext *context = redisConnectWithOptions(&socket);
    KOL_ASSERT(ssl && context && !context->err); /* nothing was asked of anybody yet */
    struct redis_secure secure = {context, ssl, expected};
    if (!expect(ssl, expected, tls->insecure)) {
        status = kol_fail(err, KOL_USAGE, "`%s` is no name that a certificate can have", expected);
    } else {
        errno = 0;
        if (redisInitiateSSL(context, ssl) != REDIS_OK) {
            status = fail_tls(&secure, errno, err);
        }
    }
    if (status != KOL_OK) {
        SSL_free(ssl);
        redisFreeKeepFd(context);
        return status;
    }
    *out = mem_zalloc(1, sizeof **out);
    **out = secure;
    return KOL_OK;
}

void redis_tls_end(struct redis_secure **secure)
{
    struct redis_secure *ending = *secure;
    if (ending) {
        /* After a failure OpenSSL is not to be asked for anything. */
        if (!ending->context->err && SSL_is_init_finished(ending->ssl)) {
            SSL_shutdown(ending->ssl);
        }
        ERR_clear_error();
        redisFreeKeepFd(ending->context);
        free(ending);
        *secure = NULL;
    }
}

enum kol_status redis_tls_shake(struct redis_secure *secure, short *events, struct kol_error *err)
{
    ERR_clear_error();
    errno = 0;
    const int done = SSL_do_handshake(secure->ssl), failure = errno;
    *events = 0;
    if (done == 1) {
        return KOL_OK;
    }
    switch (SSL_get_error(secure->ssl, done)) {
    case SSL_ERROR_WANT_READ: *events = POLLIN; return KOL_OK;
    case SSL_ERROR_WANT_WRITE: *events = POLLOUT; return KOL_OK;
    default: return fail_tls(secure, failure, err);
    }
}

enum kol_status redis_tls_receive(struct redis_secure *secure, char *bytes, size_t room,
                                  size_t *count, struct kol_error *err)
{
    ERR_clear_error();
    errno = 0;
    const ssize_t got = secure->context->funcs->read(secure->context, bytes, room);
    const int failure = secure->context->err == REDIS_ERR_EOF ? 0 : errno;
    *count = got > 0 ? (size_t)got : 0;
    return got >= 0 ? KOL_OK : fail_tls(secure, failure, err);
}

enum kol_status redis_tls_send(struct redis_secure *secure, struct str bytes, size_t *count,
                               struct kol_error *err)
{
    redisContext *context = secure->context;
    *count = 0;
    if (bytes.len == 0) {
        return KOL_OK;
    }
    /* What did not go at the last call is still there, and is the beginning of `bytes`. */
    if (sdslen(context->obuf) == 0) {
        const size_t len = bytes.len < SEND_BYTES ? bytes.len : SEND_BYTES;
        const int added = redisAppendFormattedCommand(context, bytes.ptr, len);
        KOL_ASSERT(added == REDIS_OK);
    }
    const size_t before = sdslen(context->obuf);
    int done = 0;
    ERR_clear_error();
    errno = 0;
    if (redisBufferWrite(context, &done) != REDIS_OK) {
        return fail_tls(secure, errno, err);
    }
    *count = before - sdslen(context->obuf);
    return KOL_OK;
}
