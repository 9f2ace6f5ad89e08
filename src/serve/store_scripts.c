/*
 * store_scripts.c: the scripts that write values, each whole or not at all.
 *
 * The server runs nothing else while a script runs, so no reader sees a value half written or
 * without its TTL. What can fail for want of memory stands before the first change: a server that
 * is full refuses only the first of a script's changes, and takes all that follow.
 *
 * They run on Redis 6 and later, and use nothing but what the ACL of docs/operations.md allows.
 */
#include "serve/store_parts.h"

/*
 * `v`, `s`: version and snapshot of what is held, 0: none; either is false where it is garbage.
 * whole() takes what HMGET or a JSON number gives.
 */
#define NUMBERS                                                                                    \
    "local function whole(x) if not x then return 0 end "                                          \
    "if type(x)=='number' then x=string.format('%.17g',x) end "                                    \
    "return type(x)=='string' and #x<17 and string.find(x,'^%d+$') and tonumber(x) end "

/* Whether what is held stays; `there` tells whether anything is. */
#define STAYS                                                                                      \
    "local function stays(v,s,there) if not(v and s) then return false end "                       \
    "local V,S=tonumber(ARGV[2]),tonumber(ARGV[3]) if v>V then return true end "                   \
    "if ARGV[4]=='1' or v<V or s<S then return false end return s>0 or v>0 or there() end "

/* The held hash; another type under the key is replaced. */
#define GUARD_HASH                                                                                 \
    NUMBERS STAYS                                                                                  \
        "local k=KEYS[1] local h=redis.pcall('HMGET',k,'version','snapshot') if not h.err then "   \
        "if stays(whole(h[1]),whole(h[2]),function() return redis.call('EXISTS',k)==1 end) then "  \
        "redis.call('PEXPIRE',k,ARGV[1]) return 0 end end "

/* Writes the fields in `f`. A field of before that is not among them shows in the count. */
#define WRITE_FIELDS                                                                               \
    "if h.err then redis.call('UNLINK',k) end local r=redis.pcall('HSET',k,unpack(f)) "            \
    "if type(r)=='table' then return r end if redis.call('HLEN',k)~=#f/2 then "                    \
    "redis.call('UNLINK',k) redis.call('HSET',k,unpack(f)) end "                                   \
    "redis.call('PEXPIRE',k,ARGV[1]) return 1"

/* Where the server does not take the packed hash (before Redis 7, or RESTORE is not allowed), it is
 * unpacked: entries from byte 13 on, see store_pack.c. */
const struct redis_script store_write_packed = {
    GUARD_HASH
    "local r=redis.pcall('RESTORE',k,ARGV[1],ARGV[5],'REPLACE') if not r.err then return 1 end "
    "if string.find(r.err,'OOM',1,true) then return r end "
    "local b,i,f=ARGV[5],13,{} while string.byte(b,i)~=255 do local c=string.byte(b,i) local n,a "
    "if c<192 then n,a=c-128,1 else n,a=(c-224)*256+string.byte(b,i+1),2 end "
    "f[#f+1]=string.sub(b,i+a,i+a+n-1) n=n+a if n<128 then i=i+n+1 else i=i+n+2 end "
    "end " WRITE_FIELDS};

const struct redis_script store_write_hash = {
    GUARD_HASH "local f={} for i=5,#ARGV do f[i-4]=ARGV[i] end " WRITE_FIELDS};

/* The numbers of a JSON text are members of it; of a hash that is written in its older form, its
 * fields. */
const struct redis_script store_write_text = {
    NUMBERS STAYS
    "local k=KEYS[1] local v,s,there=false,false,true local t=redis.pcall('GET',k) "
    "if type(t)=='string' then local fine,o=pcall(cjson.decode,t) "
    "if fine and type(o)=='table' then v,s=whole(o.version),whole(o.snapshot) end "
    "elseif not t then v,s,there=0,0,false else "
    "local h=redis.pcall('HMGET',k,'version','snapshot') "
    "if not h.err then v,s=whole(h[1]),whole(h[2]) end end "
    "if stays(v,s,function() return there end) then redis.call('PEXPIRE',k,ARGV[1]) return 0 end "
    "local r=redis.pcall('SET',k,ARGV[5],'PX',ARGV[1]) if r.err then return r end return 1"};

/* A set is as old as its sibling says. Without it, or where the set is of another type, it is
 * garbage; that there is no set at all is right only where the sibling says that it is empty. */
#define GUARD_SET                                                                                  \
    NUMBERS STAYS                                                                                  \
        "local k,m=KEYS[1],KEYS[2] local h=redis.pcall('HMGET',m,'version','snapshot','members') " \
        "local is=redis.call('TYPE',k).ok if not h.err and h[3] and "                              \
        "(is=='zset' or is=='none' and h[3]=='0') and "                                            \
        "stays(whole(h[1]),whole(h[2]),function() return true end) then "                          \
        "redis.call('PEXPIRE',k,ARGV[1]) redis.call('PEXPIRE',m,ARGV[1]) return 0 end "

/* The sibling first: that is what a full server refuses. */
#define WRITE_SIBLING                                                                              \
    "if h.err then redis.call('UNLINK',m) end local r=redis.pcall('HSET',m,unpack(f)) "            \
    "if type(r)=='table' then return r end redis.call('UNLINK',k,m) "                              \
    "redis.call('HSET',m,unpack(f)) "                                                              \
    "redis.call('PEXPIRE',m,ARGV[1]) "

const struct redis_script store_write_set = {
    GUARD_SET
    "local f,z,n={},{},ARGV[5]+5 for i=6,#ARGV do if i<=n then f[i-5]=ARGV[i] "
    "else z[i-n]=ARGV[i] end end " WRITE_SIBLING
    "if #z>0 then redis.call('ZADD',k,unpack(z)) redis.call('PEXPIRE',k,ARGV[1]) end return 1"};

const struct redis_script store_keep_set = {GUARD_SET "return 1"};

const struct redis_script store_add_aside = {
    "local z={} for i=2,#ARGV do z[i-1]=ARGV[i] end local r=redis.pcall('ZADD',KEYS[1],unpack(z)) "
    "if type(r)=='table' then return r end redis.call('PEXPIRE',KEYS[1],ARGV[1]) "
    "return redis.call('ZCARD',KEYS[1])"};

const struct redis_script store_swap_set = {
    GUARD_SET "if redis.call('ZCARD',KEYS[3])~=tonumber(ARGV[5]) then "
              "return redis.error_reply('LOST what was built aside') end "
              "local f={} for i=6,#ARGV do f[i-5]=ARGV[i] end " WRITE_SIBLING
              "redis.call('RENAME',KEYS[3],k) redis.call('PEXPIRE',k,ARGV[1]) return 1"};

const struct redis_script store_unlock = {
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0"};
