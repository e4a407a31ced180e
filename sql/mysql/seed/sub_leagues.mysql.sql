CREATE TABLE IF NOT EXISTS `sub_leagues` (
  `league_id` INT NOT NULL,
  `sub_league_id` INT NOT NULL,
  `name` VARCHAR(50) DEFAULT NULL,
  `abbr` VARCHAR(50) DEFAULT NULL,
  `gender` INT DEFAULT NULL,
  `designated_hitter` TINYINT DEFAULT NULL,
  PRIMARY KEY (`league_id`, `sub_league_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO `sub_leagues` VALUES
(100,0,'Lakeshore League','LSL',1,1),
(101,0,'Prairie & Plains Association','PPA',1,1);
