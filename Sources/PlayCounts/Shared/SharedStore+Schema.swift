extension SharedStore {
    /// The version of the schema that this program writes.
    static let schemaVersion = 1

    /// The transaction that creates the schema, or does nothing if another process has created it.
    ///
    /// The names of the functions end with the version of the schema, so that a later version can
    /// add functions while processes of this version still run. The functions are volatile, so each
    /// of their commands sees everything that was committed before it started; a single command
    /// with the same effect would still read its former snapshot after it had waited for a lock.
    ///
    /// All functions lock in one order: the table `fingerprints`, then fingerprints, then videos,
    /// then deliveries, each in ascending order. So they never wait for each other in a circle.
    static let schema =
        #"""
        CREATE SCHEMA IF NOT EXISTS tally;
        CREATE TABLE IF NOT EXISTS tally.store (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            version integer NOT NULL,
            store_id text NOT NULL,
            -- The secret key of the fingerprints.
            fingerprint_key bytea NOT NULL,
            -- The current generation of fingerprints.
            generation bigint NOT NULL DEFAULT 1,
            generation_started timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        LOCK TABLE tally.store IN ACCESS EXCLUSIVE MODE;
        CREATE TABLE IF NOT EXISTS tally.counts (
            video_id uuid PRIMARY KEY,
            play_count bigint NOT NULL
        );
        CREATE TABLE IF NOT EXISTS tally.clients (
            client integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL UNIQUE,
            -- The lease of the process that publishes to the client.
            holder text,
            epoch bigint NOT NULL DEFAULT 0,
            expires timestamptz NOT NULL DEFAULT '-infinity',
            -- Increases with each renewal, so that others see that the holder is alive even if the
            -- server's clock was set back.
            renewals bigint NOT NULL DEFAULT 0
        );
        -- The totals that each client must receive: those with play_count <> published.
        CREATE TABLE IF NOT EXISTS tally.deliveries (
            client integer NOT NULL,
            video_id uuid NOT NULL,
            play_count bigint NOT NULL,
            published bigint NOT NULL DEFAULT 0,
            -- The latest time for the publication of play_count.
            due_at timestamptz NOT NULL,
            PRIMARY KEY (client, video_id)
        ) WITH (fillfactor = 80);
        CREATE INDEX IF NOT EXISTS deliveries_due ON tally.deliveries (client, due_at)
            WHERE play_count <> published;
        -- One partition contains the current generation, the other one the previous generation.
        CREATE TABLE IF NOT EXISTS tally.fingerprints (
            fingerprint uuid NOT NULL,
            slot smallint NOT NULL,
            PRIMARY KEY (slot, fingerprint)
        ) PARTITION BY LIST (slot);
        CREATE TABLE IF NOT EXISTS tally.fingerprints_0
            PARTITION OF tally.fingerprints FOR VALUES IN (0);
        CREATE TABLE IF NOT EXISTS tally.fingerprints_1
            PARTITION OF tally.fingerprints FOR VALUES IN (1);

        -- Counts the plays whose fingerprints are new, and returns the new totals.
        CREATE OR REPLACE FUNCTION tally.count_plays_1(
            fingerprints uuid[], videos uuid[], realtime_below bigint, coalesce_us bigint,
            freshness_us bigint, window_us bigint, generation_limit bigint
        ) RETURNS TABLE (video uuid, total bigint, added bigint, is_generation_full boolean)
        LANGUAGE plpgsql SET lock_timeout = '5s' SET search_path = pg_catalog, pg_temp
        -- The sizes of the arrays decide how their rows are joined.
        SET plan_cache_mode = force_custom_plan AS $$
        #variable_conflict use_column
        DECLARE
            current_slot smallint;
            is_full boolean;
            now_at timestamptz := clock_timestamp();
            soon interval := coalesce_us * interval '1 microsecond';
            later interval := freshness_us * interval '1 microsecond';
        BEGIN
            -- Waits for a change of the generation, and keeps the generation from changing.
            LOCK TABLE tally.fingerprints IN ROW EXCLUSIVE MODE;
            -- A row of the table takes 52 bytes.
            SELECT s.generation % 2,
                now_at - s.generation_started >= window_us * interval '1 microsecond'
                OR pg_relation_size(CASE s.generation % 2
                    WHEN 0 THEN 'tally.fingerprints_0'::regclass
                    ELSE 'tally.fingerprints_1'::regclass END) / 52 >= generation_limit
                INTO STRICT current_slot, is_full FROM tally.store s;
            RETURN QUERY
            WITH plays AS (
                SELECT p.fingerprint, p.video
                FROM unnest(fingerprints, videos) AS p (fingerprint, video)
            ), new AS (
                INSERT INTO tally.fingerprints (slot, fingerprint)
                SELECT current_slot, p.fingerprint FROM plays p WHERE NOT EXISTS (
                    SELECT FROM tally.fingerprints f
                    WHERE f.slot = 1 - current_slot AND f.fingerprint = p.fingerprint)
                ORDER BY p.fingerprint
                ON CONFLICT DO NOTHING RETURNING fingerprint
            ), added AS (
                SELECT p.video, count(*) AS plays FROM plays p JOIN new n USING (fingerprint)
                GROUP BY p.video
            ), totals AS (
                INSERT INTO tally.counts AS c (video_id, play_count)
                SELECT a.video, a.plays FROM added a ORDER BY a.video
                ON CONFLICT (video_id) DO UPDATE SET play_count = c.play_count + excluded.play_count
                RETURNING c.video_id, c.play_count
            ), delivered AS (
                INSERT INTO tally.deliveries AS d (client, video_id, play_count, due_at)
                SELECT k.client, t.video_id, t.play_count, now_at + CASE
                    WHEN t.play_count - a.plays + 1 < realtime_below THEN soon ELSE later END
                FROM totals t JOIN added a ON a.video = t.video_id CROSS JOIN tally.clients k
                ORDER BY t.video_id, k.client
                ON CONFLICT (client, video_id) DO UPDATE SET play_count = excluded.play_count,
                    due_at = CASE WHEN d.play_count = d.published THEN excluded.due_at
                        ELSE least(d.due_at, excluded.due_at) END
            )
            SELECT t.video_id, t.play_count, a.plays, is_full
            FROM totals t JOIN added a ON a.video = t.video_id;
        END $$;

        -- Begins a generation of fingerprints, and removes the one before the previous one.
        CREATE OR REPLACE FUNCTION tally.begin_generation_1(
            window_us bigint, generation_limit bigint
        ) RETURNS boolean
        LANGUAGE plpgsql SET lock_timeout = '500ms' SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            current_slot smallint;
        BEGIN
            -- Waits for all transactions that have counted plays, and blocks new ones.
            LOCK TABLE tally.fingerprints IN SHARE ROW EXCLUSIVE MODE;
            -- Another process may have begun the generation before.
            SELECT s.generation % 2 INTO current_slot FROM tally.store s
            WHERE clock_timestamp() - s.generation_started >= window_us * interval '1 microsecond'
                OR pg_relation_size(CASE s.generation % 2
                    WHEN 0 THEN 'tally.fingerprints_0'::regclass
                    ELSE 'tally.fingerprints_1'::regclass END) / 52 >= generation_limit;
            IF NOT FOUND THEN RETURN false; END IF;
            IF current_slot = 0 THEN
                TRUNCATE tally.fingerprints_1;
            ELSE
                TRUNCATE tally.fingerprints_0;
            END IF;
            UPDATE tally.store
            SET generation = generation + 1, generation_started = clock_timestamp();
            RETURN true;
        END $$;

        -- Returns a client's number. A new client must receive all totals.
        CREATE OR REPLACE FUNCTION tally.register_client_1(client_name text) RETURNS integer
        LANGUAGE plpgsql SET lock_timeout = '30s' SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            number integer;
        BEGIN
            SELECT c.client INTO number FROM tally.clients c WHERE c.name = client_name;
            IF FOUND THEN RETURN number; END IF;
            -- Waits for transactions that count plays without a delivery to this client.
            LOCK TABLE tally.fingerprints IN SHARE ROW EXCLUSIVE MODE;
            INSERT INTO tally.clients (name) VALUES (client_name)
            ON CONFLICT DO NOTHING RETURNING client INTO number;
            IF NOT FOUND THEN
                SELECT c.client INTO STRICT number FROM tally.clients c
                WHERE c.name = client_name;
                RETURN number;
            END IF;
            INSERT INTO tally.deliveries (client, video_id, play_count, due_at)
            SELECT number, c.video_id, c.play_count, clock_timestamp() FROM tally.counts c;
            RETURN number;
        END $$;

        -- Acquires the lease of a client that is free or expired. A caller that has seen no renewal
        -- for longer than the lease passes the number that it has seen.
        CREATE OR REPLACE FUNCTION tally.acquire_lease_1(
            client_number integer, new_holder text, lease_us bigint, dead_renewals bigint
        ) RETURNS TABLE (is_held boolean, held_epoch bigint, was_taken_over boolean,
            seen_renewals bigint)
        LANGUAGE plpgsql SET lock_timeout = '2s' SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            c tally.clients;
            is_free boolean;
        BEGIN
            SELECT * INTO STRICT c FROM tally.clients k WHERE k.client = client_number FOR UPDATE;
            is_free := c.holder IS NULL OR c.holder = new_holder;
            IF NOT is_free AND c.expires > clock_timestamp()
                AND c.renewals IS DISTINCT FROM dead_renewals
            THEN
                RETURN QUERY SELECT false, c.epoch, false, c.renewals;
                RETURN;
            END IF;
            UPDATE tally.clients k SET holder = new_holder, epoch = k.epoch + 1,
                renewals = k.renewals + 1,
                expires = clock_timestamp() + lease_us * interval '1 microsecond'
            WHERE k.client = client_number;
            RETURN QUERY SELECT true, c.epoch + 1, NOT is_free, c.renewals + 1;
        END $$;

        -- Renews a lease; returns false if another process has acquired it.
        CREATE OR REPLACE FUNCTION tally.renew_lease_1(
            client_number integer, held_epoch bigint, lease_us bigint
        ) RETURNS boolean
        LANGUAGE plpgsql SET lock_timeout = '2s' SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE tally.clients k SET renewals = k.renewals + 1,
                expires = clock_timestamp() + lease_us * interval '1 microsecond'
            WHERE k.client = client_number AND k.epoch = held_epoch;
            RETURN FOUND;
        END $$;

        -- Releases a lease, so that another process acquires it without a delay.
        CREATE OR REPLACE FUNCTION tally.release_lease_1(
            client_number integer, held_epoch bigint
        ) RETURNS boolean
        LANGUAGE plpgsql SET lock_timeout = '2s' SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE tally.clients k SET holder = NULL, expires = '-infinity'
            WHERE k.client = client_number AND k.epoch = held_epoch;
            RETURN FOUND;
        END $$;

        -- Reads the totals that are due, and as many others as fit into their calls. The first
        -- row has no video: it shows whether the lease is held, and the time.
        CREATE OR REPLACE FUNCTION tally.due_totals_1(
            client_number integer, held_epoch bigint, videos_per_call bigint, row_limit bigint,
            is_flushing boolean
        ) RETURNS TABLE (video uuid, total bigint, now_us bigint)
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            now_at timestamptz := clock_timestamp();
            due bigint;
        BEGIN
            RETURN QUERY SELECT NULL::uuid, count(*),
                (extract(epoch FROM now_at) * 1000000)::bigint
            FROM tally.clients k WHERE k.client = client_number AND k.epoch = held_epoch;
            SELECT count(*) INTO due FROM (
                SELECT FROM tally.deliveries d
                WHERE d.client = client_number AND d.play_count <> d.published
                    AND (is_flushing OR d.due_at <= now_at)
                ORDER BY d.due_at LIMIT row_limit) first_due;
            IF due = 0 THEN RETURN; END IF;
            RETURN QUERY SELECT d.video_id, d.play_count, 0::bigint FROM tally.deliveries d
            WHERE d.client = client_number AND d.play_count <> d.published ORDER BY d.due_at
            LIMIT (due + videos_per_call - 1) / videos_per_call * videos_per_call;
        END $$;

        -- Records the totals that a client has accepted; returns false, and records nothing, if
        -- another process has acquired the lease.
        CREATE OR REPLACE FUNCTION tally.record_published_1(
            client_number integer, held_epoch bigint, videos uuid[], totals bigint[],
            read_us bigint, realtime_below bigint, coalesce_us bigint, freshness_us bigint
        ) RETURNS boolean
        LANGUAGE plpgsql SET lock_timeout = '5s' SET search_path = pg_catalog, pg_temp
        SET plan_cache_mode = force_custom_plan AS $$
        DECLARE
            read_at timestamptz := to_timestamp(0) + read_us * interval '1 microsecond';
            soon interval := coalesce_us * interval '1 microsecond';
            later interval := freshness_us * interval '1 microsecond';
        BEGIN
            PERFORM FROM tally.clients k
            WHERE k.client = client_number AND k.epoch = held_epoch FOR SHARE;
            IF NOT FOUND THEN RETURN false; END IF;
            WITH accepted AS (
                SELECT d.video_id, a.total
                FROM unnest(videos, totals) AS a (video, total)
                JOIN tally.deliveries d ON d.client = client_number AND d.video_id = a.video
                ORDER BY d.video_id FOR UPDATE OF d
            )
            -- The plays that arrived since the total was read have a deadline of their own.
            UPDATE tally.deliveries d SET published = a.total, due_at = read_at + CASE
                WHEN a.total + 1 < realtime_below THEN soon ELSE later END
            FROM accepted a WHERE d.client = client_number AND d.video_id = a.video_id;
            RETURN true;
        END $$;

        INSERT INTO tally.store (version, store_id, fingerprint_key)
        VALUES (1, gen_random_uuid()::text, uuid_send(gen_random_uuid()))
        ON CONFLICT DO NOTHING;
        """#
}
