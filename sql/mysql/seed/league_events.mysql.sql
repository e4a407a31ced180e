CREATE TABLE IF NOT EXISTS `league_events` (
  `league_id` INT DEFAULT NULL,
  `start_date` DATE DEFAULT NULL,
  `type` SMALLINT DEFAULT NULL,
  `event_over` TINYINT DEFAULT NULL,
  `deleted` TINYINT DEFAULT NULL,
  `name` VARCHAR(50) DEFAULT NULL,
  `needs_human_action` TINYINT DEFAULT NULL,
  `real_sim_date` SMALLINT DEFAULT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `league_events` VALUES
(100,'2031-04-01',1,0,0,'Opening Day',0,NULL),
(100,'2031-07-12',2,0,0,'All-Star Game',0,NULL),
(100,'2031-07-31',3,0,0,'Trade Deadline',0,NULL),
(100,'2031-10-01',4,0,0,'End of the Season',0,NULL),
(101,'2031-04-01',1,0,0,'Opening Day',0,NULL),
(101,'2031-07-12',2,0,0,'All-Star Game',0,NULL),
(101,'2031-07-31',3,0,0,'Trade Deadline',0,NULL),
(101,'2031-10-01',4,0,0,'End of the Season',0,NULL);
