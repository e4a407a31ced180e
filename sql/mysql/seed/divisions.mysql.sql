CREATE TABLE IF NOT EXISTS `divisions` (
  `league_id` INT NOT NULL,
  `sub_league_id` INT NOT NULL,
  `division_id` INT NOT NULL,
  `name` VARCHAR(50) DEFAULT NULL,
  `gender` INT DEFAULT NULL,
  PRIMARY KEY (`league_id`, `sub_league_id`, `division_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `divisions` VALUES
(100,0,0,'Harbor',NULL),
(100,0,1,'River',NULL),
(100,0,2,'Península',NULL),
(101,0,0,'North',NULL),
(101,0,1,'Middle',NULL),
(101,0,2,'South',NULL);
