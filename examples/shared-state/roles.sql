-- Run once, by the owner of the database. Who applies may add records, who plans may only read them,
-- and nobody may change or remove one.
\getenv applier APPLIER_PASSWORD
\getenv planner PLANNER_PASSWORD
CREATE ROLE applier LOGIN PASSWORD :'applier';
CREATE ROLE planner LOGIN PASSWORD :'planner';

CREATE TABLE majobctl_log (name text COLLATE "C", number bigint,
    content bytea NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, number));
GRANT SELECT, INSERT ON majobctl_log TO applier;
GRANT SELECT ON majobctl_log TO planner;
