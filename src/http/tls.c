/*
 * tls.c: the certificate, and another one in its place without a connection being dropped.
 *
 * The library asks for the certificate at each handshake (a callback of GnuTLS). A reload puts a
 * new one there; those of before stay in memory until the server ends, for a handshake may hold
 * them.
 */
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "http/call.h"

enum { CHAIN_MAX = 16, PEM_MAX = 1024 * 1024 };

struct certificate {
    struct certificate *older;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_len;
    gnutls_privkey_t key;
};

struct http_tls {
    char *certificate_path, *key_path;
    _Atomic(struct certificate *) current;
};

/* GnuTLS gives its callback nothing of ours, and the library that calls it keeps the session's own
 * pointer for itself: so a process has one certificate. */
static _Atomic(struct http_tls *) the_tls;

static int give_certificate(gnutls_session_t session, const gnutls_datum_t *authorities,
                            int authority_count, const gnutls_pk_algorithm_t *algorithms,
                            int algorithm_count, gnutls_pcert_st **chain, unsigned *chain_len,
                            gnutls_privkey_t *key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    struct http_tls *tls = atomic_load(&the_tls);
    if (!tls) {
        return -1;
    }
    struct certificate *current = atomic_load(&tls->current);
    *chain = current->chain;
    *chain_len = current->chain_len;
    *key = current->key;
    return 0;
}

static void free_certificate(struct certificate *certificate)
{
    for (unsigned i = 0; i < certificate->chain_len; i++) {
        gnutls_pcert_deinit(&certificate->chain[i]);
    }
    gnutls_privkey_deinit(certificate->key);
    free(certificate);
}

/* Whether the key is that of the certificate: GnuTLS says so where both become one credential. */
static int match(const gnutls_datum_t *chain, const gnutls_datum_t *key)
{
    gnutls_certificate_credentials_t both;
    int status = gnutls_certificate_allocate_credentials(&both);
    if (status >= 0) {
        status = gnutls_certificate_set_x509_key_mem(both, chain, key, GNUTLS_X509_FMT_PEM);
        gnutls_certificate_free_credentials(both);
    }
    return status;
}

static enum kol_status load(const struct http_tls *tls, struct certificate **out,
                            struct kol_error *err)
{
    struct buf chain = {0}, key = {0};
    struct certificate *fresh = mem_zalloc(1, sizeof *fresh);
    enum kol_status status = file_read(tls->certificate_path, PEM_MAX, &chain, err);
    if (status == KOL_OK) {
        status = file_read(tls->key_path, PEM_MAX, &key, err);
    }
    if (status != KOL_OK) {
        goto out;
    }
    gnutls_datum_t chain_pem = {(unsigned char *)chain.ptr, (unsigned)chain.len};
    gnutls_datum_t key_pem = {(unsigned char *)key.ptr, (unsigned)key.len};
    int failed = match(&chain_pem, &key_pem);
    unsigned len = CHAIN_MAX;
    if (failed >= 0) {
        failed = gnutls_privkey_init(&fresh->key);
    }
    if (failed >= 0) {
        failed = gnutls_privkey_import_x509_raw(fresh->key, &key_pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    if (failed >= 0) {
        failed = gnutls_pcert_list_import_x509_raw(fresh->chain, &len, &chain_pem,
                                                   GNUTLS_X509_FMT_PEM, 0);
        fresh->chain_len = failed >= 0 ? len : 0;
    }
    if (failed < 0) {
        status = kol_fail(err, KOL_INVALID,
                          "certificate %s with key %s: %s; give the two PEM files of one pair",
                          tls->certificate_path, tls->key_path, gnutls_strerror(failed));
    }
out:
    if (key.ptr) {
        explicit_bzero(key.ptr, key.cap);
    }
    buf_free(&key);
    buf_free(&chain);
    if (status != KOL_OK) {
        free_certificate(fresh);
        return status;
    }
    *out = fresh;
    return KOL_OK;
}

enum kol_status http_tls_reload(struct http_tls *tls, struct kol_error *err)
{
    struct certificate *fresh;
    enum kol_status status = load(tls, &fresh, err);
    if (status == KOL_OK) {
        fresh->older = atomic_load(&tls->current);
        atomic_store(&tls->current, fresh);
    }
    return status;
}

enum kol_status http_tls_new(const char *certificate, const char *key, struct http_tls **out,
                             struct kol_error *err)
{
    struct http_tls *tls = mem_zalloc(1, sizeof *tls);
    tls->certificate_path = mem_strdup(certificate);
    tls->key_path = mem_strdup(key), *out = tls;
    enum kol_status status = http_tls_reload(tls, err);
    struct http_tls *none = NULL;
    if (status == KOL_OK && !atomic_compare_exchange_strong(&the_tls, &none, tls)) {
        status = kol_fail(err, KOL_EXISTS, "a process serves TLS once");
    }
    if (status != KOL_OK) {
        http_tls_free(out);
    }
    return status;
}

void http_tls_free(struct http_tls **tls_at)
{
    struct http_tls *tls = *tls_at;
    if (!tls) {
        return;
    }
    struct http_tls *mine = tls;
    atomic_compare_exchange_strong(&the_tls, &mine, NULL);
    for (struct certificate *at = atomic_load(&tls->current), *older; at; at = older) {
        older = at->older;
        free_certificate(at);
    }
    free(tls->certificate_path);
    free(tls->key_path);
    free(tls);
    *tls_at = NULL;
}

size_t http_tls_options(struct http_tls *tls, struct MHD_OptionItem *options)
{
    (void)tls;
    options[0] = (struct MHD_OptionItem){
        .option = MHD_OPTION_HTTPS_CERT_CALLBACK,
        .ptr_value = (void *)(uintptr_t)give_certificate,
    };
    options[1] = (struct MHD_OptionItem){
        .option = MHD_OPTION_HTTPS_PRIORITIES,
        .ptr_value = (void *)(uintptr_t) "SECURE128:+SECURE192:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3",
    };
    return HTTP_TLS_OPTIONS;
}

bool http_tls_send(struct MHD_Connection *mhd, struct str bytes)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (!info || !info->tls_session) {
        return false;
    }
    gnutls_session_t session = (gnutls_session_t)info->tls_session;
    return gnutls_record_send(session, bytes.ptr, bytes.len) == (ssize_t)bytes.len;
}
