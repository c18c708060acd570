CREATE TABLE approvals (
    seq INTEGER NOT NULL, 
    id VARCHAR NOT NULL, 
    use_case VARCHAR NOT NULL, 
    request TEXT NOT NULL, 
    request_hash VARCHAR NOT NULL, 
    summary VARCHAR NOT NULL, 
    price_ceiling_usd FLOAT NOT NULL, 
    requester VARCHAR NOT NULL, 
    created_at FLOAT NOT NULL, 
    expires_at FLOAT NOT NULL, 
    status VARCHAR NOT NULL, 
    approver VARCHAR, 
    reason VARCHAR NOT NULL, 
    answered_at FLOAT, 
    consumed_at FLOAT, 
    details TEXT DEFAULT '{}' NOT NULL, 
    editors TEXT DEFAULT '[]' NOT NULL, 
    edited_from VARCHAR, 
    replaced_by VARCHAR, 
    PRIMARY KEY (seq), 
    UNIQUE (id)
);
CREATE TABLE arm_health (
    process VARCHAR NOT NULL, 
    agent VARCHAR NOT NULL, 
    arm VARCHAR NOT NULL, 
    state VARCHAR NOT NULL, 
    reason VARCHAR NOT NULL, 
    calls INTEGER NOT NULL, 
    failures INTEGER NOT NULL, 
    at FLOAT NOT NULL, 
    PRIMARY KEY (process, agent, arm)
);
CREATE TABLE audit (
    seq INTEGER NOT NULL, 
    at FLOAT NOT NULL, 
    actor VARCHAR NOT NULL, 
    action VARCHAR NOT NULL, 
    subject VARCHAR NOT NULL, 
    detail TEXT NOT NULL, 
    PRIMARY KEY (seq)
);
CREATE TABLE breaker_resets (
    seq INTEGER NOT NULL, 
    agent VARCHAR NOT NULL, 
    arm VARCHAR NOT NULL, 
    at FLOAT NOT NULL, 
    PRIMARY KEY (seq)
);
CREATE TABLE checkpoint_writes (
    thread_id VARCHAR NOT NULL, 
    namespace VARCHAR NOT NULL, 
    checkpoint_id VARCHAR NOT NULL, 
    task_id VARCHAR NOT NULL, 
    position INTEGER NOT NULL, 
    task_path VARCHAR NOT NULL, 
    channel VARCHAR NOT NULL, 
    kind VARCHAR NOT NULL, 
    body BLOB NOT NULL, 
    PRIMARY KEY (thread_id, namespace, checkpoint_id, task_id, position)
);
CREATE TABLE checkpoints (
    thread_id VARCHAR NOT NULL, 
    namespace VARCHAR NOT NULL, 
    checkpoint_id VARCHAR NOT NULL, 
    parent_id VARCHAR, 
    kind VARCHAR NOT NULL, 
    body BLOB NOT NULL, 
    metadata TEXT NOT NULL, 
    PRIMARY KEY (thread_id, namespace, checkpoint_id)
);
CREATE TABLE cursors (
    name VARCHAR NOT NULL, 
    position VARCHAR NOT NULL, 
    PRIMARY KEY (name)
);
CREATE TABLE decisions (
    seq INTEGER NOT NULL, 
    intent_id VARCHAR NOT NULL, 
    rollout_id VARCHAR NOT NULL, 
    at FLOAT NOT NULL, 
    actor VARCHAR NOT NULL, 
    kind VARCHAR NOT NULL, 
    message VARCHAR NOT NULL, 
    evidence TEXT NOT NULL, 
    PRIMARY KEY (seq), 
    UNIQUE (intent_id)
);
CREATE INDEX ix_decisions_rollout_id ON decisions (rollout_id);
CREATE TABLE feedback (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
    request_id VARCHAR NOT NULL, 
    source VARCHAR NOT NULL, 
    score FLOAT NOT NULL, 
    at FLOAT NOT NULL, 
    kind VARCHAR NOT NULL, 
    outcome_seq INTEGER NOT NULL, 
    rollout_id VARCHAR, 
    arm VARCHAR NOT NULL, 
    version VARCHAR, 
    after_outcome INTEGER DEFAULT 0 NOT NULL, 
    UNIQUE (request_id, source, arm)
);
CREATE INDEX feedback_by_rollout ON feedback (rollout_id, seq);
CREATE TABLE intents (
    seq INTEGER NOT NULL, 
    id VARCHAR NOT NULL, 
    agent VARCHAR NOT NULL, 
    kind VARCHAR NOT NULL, 
    payload TEXT NOT NULL, 
    at FLOAT NOT NULL, 
    done BOOLEAN NOT NULL, 
    PRIMARY KEY (seq), 
    UNIQUE (id)
);
CREATE INDEX ix_intents_done ON intents (done);
CREATE TABLE job_events (
    seq INTEGER NOT NULL, 
    at FLOAT NOT NULL, 
    job_id VARCHAR NOT NULL, 
    kind VARCHAR NOT NULL, 
    agent VARCHAR NOT NULL, 
    backend VARCHAR NOT NULL, 
    requester VARCHAR NOT NULL, 
    status VARCHAR NOT NULL, 
    message VARCHAR NOT NULL, 
    PRIMARY KEY (seq)
);
CREATE INDEX job_events_by_requester ON job_events (requester, seq);
CREATE TABLE jobs (
    seq INTEGER NOT NULL, 
    id VARCHAR NOT NULL, 
    kind VARCHAR NOT NULL, 
    agent VARCHAR NOT NULL, 
    status VARCHAR NOT NULL, 
    backend VARCHAR NOT NULL, 
    request TEXT NOT NULL, 
    requester VARCHAR NOT NULL, 
    created_at FLOAT NOT NULL, 
    updated_at FLOAT NOT NULL, 
    ref TEXT NOT NULL, 
    estimated_cost_usd FLOAT NOT NULL, 
    estimated_minutes FLOAT NOT NULL, 
    actual_cost_usd FLOAT, 
    approval_id VARCHAR, 
    finished_at FLOAT, 
    result TEXT, 
    failure TEXT, 
    PRIMARY KEY (seq), 
    UNIQUE (id)
);
CREATE INDEX jobs_by_agent ON jobs (agent, seq);
CREATE INDEX jobs_by_status ON jobs (status);
CREATE TABLE kept_answers (
	caller VARCHAR NOT NULL, 
	key_sha256 VARCHAR NOT NULL, 
	request_sha256 VARCHAR NOT NULL, 
	begun_at FLOAT NOT NULL, 
	status INTEGER, 
	media_type VARCHAR, 
	body TEXT, 
	PRIMARY KEY (caller, key_sha256)
);
CREATE INDEX ix_kept_answers_begun_at ON kept_answers (begun_at);
CREATE TABLE outcomes (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
    request_id VARCHAR NOT NULL, 
    attempt INTEGER NOT NULL, 
    at FLOAT NOT NULL, 
    agent VARCHAR NOT NULL, 
    task_id VARCHAR NOT NULL, 
    model VARCHAR NOT NULL, 
    arm VARCHAR NOT NULL, 
    version VARCHAR, 
    rollout_id VARCHAR, 
    latency_ms FLOAT NOT NULL, 
    error VARCHAR, 
    valid_output BOOLEAN, 
    prompt_tokens INTEGER, 
    completion_tokens INTEGER, 
    role VARCHAR NOT NULL, 
    UNIQUE (request_id, attempt)
);
CREATE INDEX outcomes_by_rollout ON outcomes (rollout_id, seq);
CREATE TABLE rollouts (
    seq INTEGER NOT NULL, 
    id VARCHAR NOT NULL, 
    agent VARCHAR NOT NULL, 
    open BOOLEAN NOT NULL, 
    started_at FLOAT NOT NULL, 
    updated_at FLOAT NOT NULL, 
    state TEXT NOT NULL, 
    PRIMARY KEY (seq), 
    UNIQUE (id)
);
CREATE UNIQUE INDEX one_open_rollout ON rollouts (agent) WHERE open;
CREATE TABLE schema_version (
    version INTEGER NOT NULL, 
    PRIMARY KEY (version)
);
CREATE TABLE serving_reports (
    process VARCHAR NOT NULL, 
    agent VARCHAR NOT NULL, 
    at FLOAT NOT NULL, 
    periods TEXT NOT NULL, 
    PRIMARY KEY (process, agent)
);
CREATE TABLE thread_events (
    seq INTEGER NOT NULL, 
    thread_id VARCHAR NOT NULL, 
    at FLOAT NOT NULL, 
    event TEXT NOT NULL, 
    PRIMARY KEY (seq)
);
CREATE INDEX thread_events_by_thread ON thread_events (thread_id, seq);
CREATE TABLE threads (
    seq INTEGER NOT NULL, 
    id VARCHAR NOT NULL, 
    owner VARCHAR NOT NULL, 
    created_at FLOAT NOT NULL, 
    updated_at FLOAT NOT NULL, 
    notes TEXT NOT NULL, 
    PRIMARY KEY (seq), 
    UNIQUE (id)
);
CREATE TABLE turns (
    thread_id VARCHAR NOT NULL, 
    holder VARCHAR NOT NULL, 
    expires_at FLOAT NOT NULL, 
    asked BOOLEAN NOT NULL, 
    PRIMARY KEY (thread_id)
);
