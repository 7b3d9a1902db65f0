-- Takes from a bucket of nobody twice, and undoes that. Random keys block no other instance.
BEGIN;
SELECT @SCHEMA@.apply_@VERSION@(ARRAY[k], '{1,2}', '{1}', '{1,0,1,0,9,0,1,1,1,9,1,1,2305,1}', 0),
  @SCHEMA@.apply_@VERSION@(ARRAY[k], '{1,2}', '{1}', '{1,0,1,0,9,0,1,1,1,9,1,1,2305,1}', 0)
FROM convert_to(md5(random()::text), 'UTF8') k;
ROLLBACK;
