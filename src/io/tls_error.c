#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "io/pipe_int.h"
#include "io/tls_int.h"

enum { FIRST_ALERT_REASON = SSL_AD_REASON_OFFSET, LAST_ALERT_REASON = SSL_AD_REASON_OFFSET + 255 };

void fg_tls_error_text(char *out, size_t out_len)
{
    unsigned long code = ERR_peek_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    if (text)
        snprintf(out, out_len, "%s", text);
    else if (code && ERR_SYSTEM_ERROR(code))
        snprintf(out, out_len, "%s", strerror(ERR_GET_REASON(code)));
    else
        snprintf(out, out_len, "error %lx", code);
    ERR_clear_error();
}

/* Reasons whose own text does not tell an operator what to do. */
static const char *known_reason(int reason, bool is_server)
{
    switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "client certificate required";
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return "the peer offers no protocol (ALPN) that is served here";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "the peer closed the connection without notice";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "the client speaks plain HTTP to a TLS address";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        return is_server ? "the client does not speak TLS" : "the server does not speak TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the peer supports no TLS version that is allowed here";
    case SSL_R_NO_SHARED_CIPHER:
        return "the peer supports no cipher suite that is allowed here";
    default:
        return NULL;
    }
}

static int fail_verification(struct fg_pipe *pipe, const char *doing)
{
    SSL *ssl = pipe->tls;
    long result = SSL_get_verify_result(ssl);
    const char *whose = SSL_is_server(ssl) ? "client" : "server";
    if (result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH)
        return fg_pipe_fail(pipe, "%s failed: the server certificate is for another name", doing);
    return fg_pipe_fail(pipe, "%s failed: %s certificate refused: %s", doing, whose,
                        X509_verify_cert_error_string(result));
}

static int fail_protocol(struct fg_pipe *pipe, const char *doing)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return fail_verification(pipe, doing);
    if (reason > FIRST_ALERT_REASON && reason <= LAST_ALERT_REASON)
        return fg_pipe_fail(pipe, "%s failed: the peer answered with alert \"%s\"", doing,
                            SSL_alert_desc_string_long(reason - FIRST_ALERT_REASON));
    const char *known = known_reason(reason, SSL_is_server(pipe->tls));
    if (known)
        return fg_pipe_fail(pipe, "%s failed: %s", doing, known);
    char text[100];
    fg_tls_error_text(text, sizeof(text));
    return fg_pipe_fail(pipe, "%s failed: %s", doing, text);
}

int fg_tls_fail(struct fg_pipe *pipe, const char *doing, int ssl_error, int error_number)
{
    if (ssl_error == SSL_ERROR_SSL)
        fail_protocol(pipe, doing);
    else if (ssl_error == SSL_ERROR_SYSCALL && error_number != 0)
        fg_pipe_fail_errno(pipe, doing, error_number);
    else /* close_notify where data must come, or an end that OpenSSL does not explain */
        fg_pipe_fail(pipe, "%s failed: the peer closed the connection", doing);
    ERR_clear_error();
    return FG_PIPE_ERROR;
}
