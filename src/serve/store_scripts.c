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
 * `v`, `s`: version and snapshot of what is held as texts of digits, '0': none; `v` is nil where
 * that is garbage. `there`: whether anything is there at all, which is of interest only where it
 * names neither. What stays is answered by 0, after `renew`, or without where the write is one for
 * a key that was not there (ARGV[4] 2; 1: one that is forced). An empty STRING is nothing. Local
 * functions would read better, and cost the server more than all else that the script does: each
 * run makes them anew.
 */
#define GUARD(there, renew)                                                                        \
    "if ARGV[4]=='2' and redis.call('EXISTS',KEYS[1])==1 and "                                     \
    "redis.pcall('GETRANGE',KEYS[1],0,0)~='' then return 0 end "                                   \
    "if v and #v<17 and #s<17 and string.find(v..s,'^%d+$') then v,s=tonumber(v),tonumber(s) "     \
    "local V,S=tonumber(ARGV[2]),tonumber(ARGV[3]) "                                               \
    "if v and s and (v>V or ARGV[4]=='0' and v==V and s>=S and (v>0 or s>0 or " there              \
    ")) then " renew " return 0 end end "

/* The held hash; another type under the key is replaced. */
#define GUARD_HASH                                                                                 \
    "local k=KEYS[1] local h=redis.pcall('HMGET',k,'version','snapshot') local v,s "               \
    "if not h.err then v,s=h[1] or '0',h[2] or '0' end " GUARD("redis.call('EXISTS',k)==1",        \
                                                               "redis.call('PEXPIRE',k,ARGV[1])")

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
    "local k=KEYS[1] local v,s local there=true local t=redis.pcall('GET',k) "
    "if type(t)=='string' then local fine,o=pcall(cjson.decode,t) "
    "if fine and type(o)=='table' then v,s=o.version or 0,o.snapshot or 0 "
    "if type(v)=='number' then v=string.format('%.17g',v) end "
    "if type(s)=='number' then s=string.format('%.17g',s) end "
    "if type(v)~='string' or type(s)~='string' then v=nil end end "
    "elseif not t then v,s,there='0','0',false else "
    "local h=redis.pcall('HMGET',k,'version','snapshot') "
    "if not h.err then v,s=h[1] or '0',h[2] or '0' end end " GUARD(
        "there",
        "redis.call('PEXPIRE',k,ARGV[1])") "local r=redis.pcall('SET',k,ARGV[5],'PX',ARGV[1]) if "
                                           "r.err then return r end return 1"};

/* A set is as old as its sibling says. Without it, or where the set is of another type, it is
 * garbage; that there is no set at all is right only where the sibling says that it is empty. */
#define GUARD_SET                                                                                  \
    "local k,m=KEYS[1],KEYS[2] local h=redis.pcall('HMGET',m,'version','snapshot','members') "     \
    "local is=redis.call('TYPE',k).ok local v,s if not h.err and h[3] and "                        \
    "(is=='zset' or is=='none' and h[3]=='0') then v,s=h[1] or '0',h[2] or '0' end " GUARD(        \
        "true", "redis.call('PEXPIRE',k,ARGV[1]) redis.call('PEXPIRE',m,ARGV[1])")

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
