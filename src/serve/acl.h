/*
 * acl.h: what the program must be allowed in Redis, and no more.
 */
#ifndef SERVE_ACL_H
#define SERVE_ACL_H

#include "base/str.h"

/* Appends "ACL SETUSER user ...": the commands of acl.def on the keys of keys.def and the channels
 * that are listened to. One line, words apart by a space. */
void serve_put_acl(struct buf *out, const char *user, const char *password);

#endif
