-- Packages of three customers, posted and on their way, up to 500 changes a second.
DO $$
DECLARE
  package bigint;
BEGIN
  FOR change IN 1..:changes LOOP
    package := NULL;
    IF random() < 0.6 THEN
      SELECT id INTO package FROM package_status
       WHERE customer_id <= 3 AND status IN ('Package Posted', 'In Transit') ORDER BY random() LIMIT 1;
    END IF;
    IF package IS NULL THEN
      INSERT INTO package_status (customer_id, actual_address, next_address, status)
      VALUES (1 + floor(random() * 3), '12 Mill Lane, Leeds', 'Sorting centre, Leeds', 'Package Posted');
    ELSE
      UPDATE package_status SET updated_at = clock_timestamp(),
             status = CASE status WHEN 'Package Posted' THEN 'In Transit' ELSE 'Package Delivered' END
       WHERE id = package;
    END IF;
    COMMIT;
    PERFORM pg_sleep(0.001);
  END LOOP;
END $$
