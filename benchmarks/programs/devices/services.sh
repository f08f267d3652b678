#!/bin/sh
# PostgreSQL and nginx with their load on the loopback; the root is the tree, /tmp a memory file system.
set -u
postgres=/usr/lib/postgresql/15/bin
export PATH=$postgres:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=UTC
database=/tmp/database

as_server() {
    su server -c "PATH=$PATH; $*"
}

seconds() {
    awk '{ print $1 }' /proc/uptime
}

mkdir -p /tmp/www /var/log/nginx /var/lib/nginx
mkdir -m 700 "$database" && chown server:server "$database"
before=$(seconds)
as_server "initdb -D $database -A trust --no-sync >/dev/null 2>&1" || exit 1
echo "TIME initdb $(awk "BEGIN { print $(seconds) - $before }")"
as_server "pg_ctl -D $database -w -t 120 -l /tmp/postgres.log \
    -o '-c dynamic_shared_memory_type=mmap -c unix_socket_directories=/tmp -c listen_addresses=' start >/dev/null" \
    || { cat /tmp/postgres.log; exit 1; }
as_server "pgbench -h /tmp -q -i -s 1 postgres >/dev/null 2>&1" || exit 1

# pgbench_row NAME ARGUMENT...
pgbench_row() {
    name=$1
    shift
    as_server "pgbench -h /tmp -n -c 4 -T 4 $* postgres 2>/dev/null" \
        | awk -v name="$name" '/^tps/ { print "RATE", name, $3 }'
}

pgbench_row pgbench-select -S -M prepared
pgbench_row pgbench-tpcb
as_server "pg_ctl -D $database -m fast -w stop >/dev/null"

head -c 4096 /bin/busybox >/tmp/www/page
cat >/tmp/nginx.conf <<CONFIG
worker_processes 1;
pid /tmp/nginx.pid;
error_log /tmp/nginx-error.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server { listen 127.0.0.1:8077; root /tmp/www; }
}
user server;
CONFIG
nginx -c /tmp/nginx.conf || exit 1

# ab_row NAME REQUESTS ARGUMENT...
ab_row() {
    name=$1 requests=$2
    shift 2
    ab -q -c 8 -n "$requests" "$@" http://127.0.0.1:8077/page 2>&1 \
        | awk -v name="$name" '/^Failed requests/ && $3 > 0 { print "FAIL", name, $3, "requests" }
            /^Requests per second/ { print "RATE", name, $4 }'
}

ab_row nginx-keepalive 10000 -k
ab_row nginx-connections 4000
nginx -c /tmp/nginx.conf -s stop
