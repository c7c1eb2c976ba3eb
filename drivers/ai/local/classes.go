package local

// class is a known kind of problem. Actions may hold {host}, {path}, {namespace}, {pod}, {service},
// {queue} and {target}; what is unknown or not safe in a command is written <host> and so on.
type class struct {
	name    string
	kind    string   // ai.Types
	phrases []string // in lower case, as [words] splits them
	problem string   // begins the title
	meaning string
	actions []string
}

// classes in the order in which they are tried: the more special first.
var classes = []*class{
	{
		name: "crash_loop", kind: "process",
		phrases: []string{"crash loop", "crash looping", "crashloop", "crashlooping", "crashloopbackoff", "back off restarting",
			"pod restarting", "restarting too often", "container restarts", "image pull back off", "imagepullbackoff", "err image pull"},
		problem: "A container keeps crashing",
		meaning: "The container starts and ends again and again, so what it serves is missing or flapping; usual causes are a bad release, a missing configuration or secret, and a memory limit.",
		actions: []string{
			"See why it ended: kubectl -n {namespace} describe pod {pod}",
			"Read the output of the run before: kubectl -n {namespace} logs {pod} --previous --tail=100",
			"If it began with a release, roll that back: kubectl -n {namespace} rollout undo deployment/<deployment>",
		},
	},
	{
		name: "certificate", kind: "service",
		phrases: []string{"certificate", "certificates", "cert", "certs", "tls", "ssl", "x509"},
		problem: "A TLS certificate needs attention",
		meaning: "When a certificate has expired or does not fit, clients refuse to connect, all at the same moment.",
		actions: []string{
			"See what is served: openssl s_client -connect {target} </dev/null | openssl x509 -noout -subject -issuer -enddate",
			"Renew it (certbot renew, or cert-manager: kubectl get certificates -A) and find out why the renewal did not happen by itself",
			"Reload what serves it, and look at the end date again from outside",
		},
	},
	{
		name: "backup", kind: "service",
		phrases: []string{"backup", "backups", "backup failed", "snapshot failed", "snapshots failed"},
		problem: "A backup failed or is missing",
		meaning: "Nothing is broken for users now, but what happens from here on could not be restored.",
		actions: []string{
			"Read the output of the last run on {host}: journalctl -u <backup-unit> --since yesterday",
			"Check space, credentials and reachability of the backup target",
			"Start the backup again by hand and wait for its end; note the time of the last good one",
		},
	},
	{
		name: "replication", kind: "service",
		phrases: []string{"replication", "replication lag", "replica lag", "replica", "slave", "standby lag", "wal"},
		problem: "Database replication is behind or broken",
		meaning: "Readers of the replica see old data, and a failover now would lose what has not arrived.",
		actions: []string{
			"Measure it: PostgreSQL SELECT * FROM pg_stat_replication; MySQL SHOW REPLICA STATUS\\G",
			"Look for a long transaction, a heavy write job or a full disk on either side, and at the network between them",
			"Take the replica on {host} out of read traffic until it has caught up; do not fail over to it",
		},
	},
	{
		name: "connections", kind: "service",
		phrases: []string{"too many connections", "connections", "connection pool", "connection limit", "max connections", "deadlock", "deadlocks", "long running transaction", "long transaction", "slow queries", "slow query"},
		problem: "The database runs out of connections or waits for locks",
		meaning: "New work is refused or waits behind what is already running; users see errors and time-outs.",
		actions: []string{
			"See who holds them: PostgreSQL SELECT state, application_name, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC; MySQL SHOW PROCESSLIST",
			"End sessions that are idle in transaction or block others (pg_blocking_pids), the oldest first",
			"Find the client that grew (a release, a job, a retry storm) and limit its pool",
		},
	},
	{
		name: "queue", kind: "service",
		phrases: []string{"backlog", "queue", "queues", "consumer lag", "consumergroup lag", "consumer group lag", "dead letter", "dlq", "unacked", "messages ready", "kafka lag"},
		problem: "A queue is backing up",
		meaning: "More is put in than taken out: results come late, and the broker may run out of memory or disk.",
		actions: []string{
			"See whether consumers run and what they do: their last log lines, error rate and restarts",
			"Compare the rates of in and out of {queue}; look for one message that fails again and again",
			"Add consumers if they are healthy and merely slow; slow the producer down if the broker gets full",
		},
	},
	{
		name: "inodes", kind: "disk",
		phrases: []string{"inode", "inodes"},
		problem: "A file system runs out of inodes",
		meaning: "No more files can be made although there may be space; the cause is nearly always one directory with very many small files.",
		actions: []string{
			"On {host}: df -i {path}",
			"Find the directory: du --inodes -x {path} | sort -n | tail",
			"Delete or archive old small files there (sessions, mail queue, cache, build leftovers), then stop what makes them",
		},
	},
	{
		name: "oom", kind: "memory",
		phrases: []string{"oom", "oom killed", "oom kill", "oomkilled", "out of memory"},
		problem: "Memory ran out",
		meaning: "The kernel or the container runtime ends processes when memory is gone; what was ended may have lost work.",
		actions: []string{
			"See what was ended on {host}: journalctl -k --since -1h | grep -i -E 'oom|killed process'",
			"See what uses memory now: ps aux --sort=-rss | head",
			"Restart what was ended; if it happens again, raise its limit or roll back the release that made it grow",
		},
	},
	{
		name: "memory", kind: "memory",
		phrases: []string{"memory", "mem", "ram", "swap"},
		problem: "Memory is nearly used up",
		meaning: "When it is gone the machine swaps and slows down, or processes are killed.",
		actions: []string{
			"On {host}: free -h; ps aux --sort=-rss | head",
			"Compare with a week ago: a steady climb is a leak, a step is a release or a job",
			"Restart or limit the process that grew; add memory only when nothing grew",
		},
	},
	{
		name: "disk_io", kind: "disk",
		phrases: []string{"disk io", "disk i o", "disk latency", "disk read", "disk write", "disk error", "disk errors", "disk failure", "disk failed",
			"disk failing", "disk saturated", "iowait", "io wait", "i o wait", "smart", "raid", "read only filesystem", "filesystem read only"},
		problem: "A disk is slow or failing",
		meaning: "Everything that reads or writes there waits; a failing disk may take its data with it.",
		actions: []string{
			"On {host}: dmesg -T | grep -i -E 'error|reset|fail' | tail; smartctl -a <device>; cat /proc/mdstat",
			"See who reads and writes: iostat -x 1 5; iotop -o -b -n 3",
			"Make sure that a backup is good before anything else if there are errors, then replace the disk",
		},
	},
	{
		name: "disk_space", kind: "disk",
		phrases: []string{"disk space", "disk full", "disk almost full", "disk nearly full", "disk running full", "disk usage", "disk used", "low disk", "out of disk",
			"out of space", "no space", "filling up", "volume full", "filesystem full", "filesystem almost full", "storage full"},
		problem: "A disk is filling up",
		meaning: diskMeaning,
		actions: diskActions,
	},
	{
		name: "disk", kind: "disk",
		phrases: []string{"disk", "disks", "filesystem", "filesystems", "file system", "storage", "partition", "persistent volume", "persistentvolume",
			"ssd", "nvme", "mountpoint"},
		problem: "A disk needs attention",
		meaning: diskMeaning,
		actions: diskActions,
	},
	{
		name: "cpu", kind: "cpu",
		phrases: []string{"cpu", "cpus", "processor", "processors", "load average", "high load", "load high", "system load", "host load", "steal", "throttling", "throttled"},
		problem: "The CPU is overloaded",
		meaning: "Work waits for the processor: everything on the machine gets slower, time-outs follow.",
		actions: []string{
			"On {host}: top -b -n1 -o %CPU | head -20; uptime",
			"Find out whether the load is user work, I/O wait or steal: vmstat 1 5",
			"Stop or slow down a job that can wait; roll back if it began with a release; else add capacity",
		},
	},
	{
		name: "dns", kind: "network",
		phrases: []string{"dns", "nxdomain", "name resolution", "servfail", "resolver", "coredns"},
		problem: "Names cannot be resolved",
		meaning: "Services that are healthy look dead to each other when names do not resolve.",
		actions: []string{
			"Ask each resolver by itself: dig @<resolver> {target}; compare with a public one",
			"On {host}: resolvectl status, or cat /etc/resolv.conf",
			"Look at the resolver's process and log (Kubernetes: kubectl -n kube-system logs -l k8s-app=kube-dns) and at recent zone changes",
		},
	},
	{
		name: "latency", kind: "service",
		phrases: []string{"latency", "slow", "slowness", "response time", "request duration", "p90", "p95", "p99", "timeout", "timeouts", "apdex"},
		problem: "A service is slow",
		meaning: "Users wait or give up; callers with time-outs see errors.",
		actions: []string{
			"Find out since when and for which requests {service} is slow, and what was released or changed then",
			"Look at what it waits for: database, other services, disk, CPU of {host}",
			"Roll back, shed load or add instances, whichever is quickest and safe",
		},
	},
	{
		name: "errors", kind: "service",
		phrases: []string{"5xx", "http5xx", "http 5xx", "http 500", "http 502", "http 503", "http 504", "status 500", "error rate", "errors rate", "http errors",
			"server errors", "internal server error", "error budget", "burn rate", "high errors", "slo"},
		problem: "A service answers with errors",
		meaning: "Users see failures. 502 and 504 point to what is behind a proxy, 500 to the service itself.",
		actions: []string{
			"See which requests of {service} fail and since when; compare with the last release and configuration change",
			"Read its errors: journalctl -u {service} -p err --since -30min, or kubectl -n {namespace} logs deploy/{service} --since=30m",
			"Roll back if it began with a release; else take broken instances out of rotation",
		},
	},
	{
		name: "network", kind: "network",
		phrases: []string{"network", "packet loss", "unreachable", "connectivity", "ping", "icmp", "link down", "interface down", "bgp", "vpn", "bandwidth", "packets", "nic"},
		problem: "The network has a problem",
		meaning: "Machines that are healthy cannot reach each other, or only sometimes.",
		actions: []string{
			"From two places: ping -c 20 {host}; mtr -rwc 20 {host}",
			"On {host}: ip -s link; ethtool <interface>; look for errors, drops and a changed speed",
			"Look at recent changes of firewall, routing and switches; ask the provider when the loss begins outside",
		},
	},
	{
		name: "down", kind: "process",
		phrases: []string{"down", "not running", "stopped", "offline", "dead", "absent", "not ready", "unhealthy", "unavailable", "no heartbeat", "heartbeat missing",
			"probe failed", "health check failed", "healthcheck failed", "process missing", "service failed", "unit failed", "died", "exited"},
		problem: "A service or machine is down",
		meaning: "Monitoring gets no answer: the machine, the service or the way there is gone.",
		actions: []string{
			"Is the machine there? ping -c 3 {host}; ssh {host} uptime; else its console at the provider",
			"Is the service there? On {host}: systemctl --failed; systemctl status {service}; journalctl -u {service} -n 100",
			"Start it again and watch whether it stays up; if several went down together, look at what they share first",
		},
	},
	{
		name: "database", kind: "service",
		phrases: []string{"database", "databases", "postgres", "postgresql", "postgre sql", "mysql", "my sql", "mariadb", "maria db", "mongodb", "mongo", "redis", "cassandra", "elasticsearch", "etcd"},
		problem: "A database has a problem",
		meaning: "What depends on it will fail or slow down next.",
		actions: []string{
			"Does it answer? Run a trivial query against {host} with the application's account",
			"Read its log on {host} of the last half hour; look at space, memory and connections",
			"Stop jobs that can wait before restarting anything; a restart of a database is the last step, not the first",
		},
	},
}

func classNamed(name string) *class {
	for _, c := range classes {
		if c.name == name {
			return c
		}
	}
	return nil
}

// classOf finds the class whose phrases occur in text, and the phrase.
func classOf(text string) (*class, string) {
	text = words(text)
	for _, c := range classes {
		if phrase, ok := match(text, c.phrases); ok {
			return c, phrase
		}
	}
	return nil, ""
}

const diskMeaning = "When a file system is full, databases stop, logs are lost and services fail in odd ways."

var diskActions = []string{
	"On {host}: df -h {path}; df -i {path}",
	"Find what is big: du -xh {path} --max-depth=2 | sort -h | tail; deleted files that are still open: lsof +L1",
	"Free space safely: rotate logs (journalctl --vacuum-size=1G), old packages and images (docker system df), old dumps",
	"Enlarge the volume if the growth is normal; look at dmesg for I/O errors if it is not full",
}
