-- Refreshes of the language model: why, how far, and what came of them.
CREATE VIEW refresh_history AS
SELECT r.id AS refresh,
       r.reason,
       r.asked_at,
       r.asked_by,
       r.state,
       r.stage,
       r.step,
       r.steps,
       r.loss,
       r.seconds_left,
       r.progressed_at,
       r.former_model_version_id AS former_model_version,
       r.model_version_id AS model_version,
       (SELECT count(*) FROM refresh_item i WHERE i.refresh_run_id = r.id AND i.part = 'new' AND i.left_out_at IS NULL)
           AS new_texts,
       (SELECT count(*) FROM refresh_item i
        WHERE i.refresh_run_id = r.id AND i.part = 'replayed' AND i.left_out_at IS NULL) AS replayed_texts,
       (SELECT count(*) FROM refresh_item i WHERE i.refresh_run_id = r.id AND i.left_out_at IS NOT NULL)
           AS left_out_texts,
       r.verdict,
       r.cancel_asked_by,
       r.finished_at
FROM refresh_run r;

COMMENT ON VIEW refresh_history IS 'Refreshes of the language model: why, how far, and what came of them.';
COMMENT ON COLUMN refresh_history.refresh IS 'Refresh.';
COMMENT ON COLUMN refresh_history.reason IS 'Why it was due, in words.';
COMMENT ON COLUMN refresh_history.asked_at IS 'When it was found due.';
COMMENT ON COLUMN refresh_history.asked_by IS 'Who asked; policy if nobody did.';
COMMENT ON COLUMN refresh_history.state IS 'open, promoted, inconclusive (waits for a person), rejected, cancelled or failed.';
COMMENT ON COLUMN refresh_history.stage IS 'How far it came: mix, pre-training, refit, evaluation or promotion.';
COMMENT ON COLUMN refresh_history.step IS 'Steps done in that stage.';
COMMENT ON COLUMN refresh_history.steps IS 'Steps of that stage.';
COMMENT ON COLUMN refresh_history.loss IS 'Loss of the last step.';
COMMENT ON COLUMN refresh_history.seconds_left IS 'Expected, of that stage.';
COMMENT ON COLUMN refresh_history.progressed_at IS 'When it last said how far it is.';
COMMENT ON COLUMN refresh_history.former_model_version IS 'Champion: the version that it goes on from.';
COMMENT ON COLUMN refresh_history.model_version IS 'Challenger that it made.';
COMMENT ON COLUMN refresh_history.new_texts IS 'New reports in its training mix.';
COMMENT ON COLUMN refresh_history.replayed_texts IS 'Replayed texts in its training mix.';
COMMENT ON COLUMN refresh_history.left_out_texts IS 'Texts that a later start left out, because they were withdrawn or amended.';
COMMENT ON COLUMN refresh_history.verdict IS 'What each gate said, and why.';
COMMENT ON COLUMN refresh_history.cancel_asked_by IS 'Who asked to stop it.';
COMMENT ON COLUMN refresh_history.finished_at IS 'When it came to its end.';
